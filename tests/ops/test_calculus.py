"""Differences, derivatives and integrals: PyTorch's results, forms and refusals."""

import pytest

VALUES = (
    ("torch.diff(torch.tensor([True,False,False]))", "bool", [True, False]),
    ("torch.diff(torch.arange(4),n=0)", "int64", [0, 1, 2, 3]),
    ("torch.gradient(torch.arange(5.)**2)[0]", "float32", [1.0, 2.0, 4.0, 6.0, 7.0]),
    ("torch.gradient(torch.arange(3),spacing=2.)[0]", "float32", [0.5, 0.5, 0.5]),
    ("torch.trapezoid(torch.tensor([1,2,3]))", "float32", 4.0),
    ("torch.trapezoid(torch.ones(2,0))", "float32", [0.0, 0.0]),
    ("torch.cumulative_trapezoid(torch.tensor([1.,2.,4.]),dx=2)", "float32", [3.0, 9.0]),
)

ERRORS = (
    (
        "torch.diff(torch.tensor(1.))",
        RuntimeError,
        "diff expects input to be at least one-dimensional",
    ),
    ("torch.diff(torch.ones(3),n=-1)", RuntimeError, "order must be non-negative but got -1"),
    (
        "torch.diff(torch.ones(3),prepend=torch.ones(1,1))",
        RuntimeError,
        "diff expects prepend or append to be the same dimension as input",
    ),
    (
        "torch.diff(torch.ones(3,3),prepend=torch.ones(2,1))",
        RuntimeError,
        "diff expects the shape of tensor to prepend or append to match that of input except "
        "along the differencing dimension; input.size(0) = 3, but got tensor.size(0) = 2",
    ),
    (
        "torch.gradient(torch.ones(3),edge_order=3)",
        RuntimeError,
        "torch.gradient only supports edge_order=1 and edge_order=2.",
    ),
    (
        "torch.gradient(torch.ones(1))",
        RuntimeError,
        "torch.gradient expected each dimension size to be at least edge_order+1",
    ),
    (
        "torch.gradient(torch.ones(3,3),spacing=[1.,2.,3.])",
        RuntimeError,
        "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal "
        "to 'self.dim() = 2', since dim argument was not given, but got a list of length 3",
    ),
    (
        "torch.gradient(torch.ones(3,dtype=torch.uint8))",
        RuntimeError,
        "torch.gradient does not support uint8 input.",
    ),
    (
        "torch.trapz(torch.ones(3),torch.ones(4))",
        RuntimeError,
        "trapezoid: There must be one `x` value for each sample point",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
