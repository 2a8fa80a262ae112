"""Complex numbers taken apart and put together.

Expected results are those of PyTorch 2.13.
"""

import pytest

import disttorch as torch

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.complex(x,x)", "complex64", [[0j, (1 + 1j), (2 + 2j)], [(3 + 3j), (4 + 4j), (5 + 5j)]]),
    ("torch.tensor([1+2j]).real", "float32", [1.0]),
    ("torch.tensor([1+2j]).imag", "float32", [2.0]),
    ("torch.tensor([1+2j]).conj().resolve_conj()", "complex64", [(1 - 2j)]),
    ("torch.real(x) is x", None, True),
    ("x.conj() is x", None, True),
    ("torch.resolve_neg(x) is x", None, True),
    ("x.is_conj()", None, False),
    ("torch.view_as_real(torch.tensor([1+2j]))", "float32", [[1.0, 2.0]]),
    ("torch.view_as_complex(torch.tensor([[1.,2.]]))", "complex64", [(1 + 2j)]),
)

ERRORS = (
    ("torch.imag(x)", RuntimeError, "imag is not implemented for tensors with non-complex dtypes."),
    ("torch.view_as_real(x)", RuntimeError, "view_as_real is only supported for complex tensors"),
    (
        "torch.view_as_complex(torch.ones(3))",
        RuntimeError,
        "Tensor must have a last dimension of size 2",
    ),
    (
        "torch.view_as_complex(torch.ones(2,3).t())",
        RuntimeError,
        "Tensor must have a last dimension with stride 1",
    ),
    (
        "torch.view_as_complex(torch.tensor(1.))",
        RuntimeError,
        "Input tensor must have one or more dimensions",
    ),
    (
        "torch.complex(x,x.double())",
        RuntimeError,
        "Expected object of scalar type Float but got scalar type Double for second argument",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)


def test_conjugates_of_numbers_in_recorded_formulas():
    x = torch.tensor([1 + 2j], requires_grad=True)
    seed = torch.tensor([1 + 0j])
    for create_graph in (False, True):
        (g,) = torch.autograd.grad(x * 2j, x, seed, create_graph=create_graph)
        assert g.tolist() == [-2j]
