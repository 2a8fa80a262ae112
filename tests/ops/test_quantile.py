"""Quantiles: PyTorch's results with NaN and ties, and its refusals."""

import pytest

VALUES = (
    (
        "torch.quantile(torch.arange(5.),torch.tensor([.1,.6]),interpolation='nearest')",
        "float32",
        [0.0, 2.0],
    ),
    (
        "torch.quantile(torch.arange(6.).reshape(2,3),0.5,dim=1,keepdim=True)",
        "float32",
        [[1.0], [4.0]],
    ),
    ("torch.nanquantile(torch.tensor([1.,torch.nan,3.]),0.5)", "float32", 2.0),
    ("torch.quantile(torch.tensor([1.,torch.nan,3.]),0.5).isnan()", "bool", True),
    ("torch.tensor(4.).quantile(0.3)", "float32", 4.0),
)

ERRORS = tuple(
    (expression, RuntimeError, f"quantile() {text}")
    for expression, text in (
        ("torch.quantile(torch.ones(3),2.0)", "q must be in the range [0, 1] but got 2"),
        ("torch.quantile(torch.ones(3),torch.ones(2,2))", "q must be a scalar or 1D tensor"),
        (
            "torch.quantile(torch.tensor([1]),.5)",
            "input tensor must be either float or double dtype",
        ),
        (
            "torch.quantile(torch.ones(3),torch.tensor(.5,dtype=torch.float64))",
            "q tensor must be same dtype as the input tensor",
        ),
        ("torch.quantile(torch.ones(0),.5)", "input tensor must be non-empty"),
        (
            "torch.quantile(torch.ones(3),.5,interpolation='x')",
            "interpolation must be one of linear, lower, higher, midpoint or nearest, but got x",
        ),
    )
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
