"""Covariances: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.cov(x)", "float32", [[1.0, 1.0], [1.0, 1.0]]),
    ("torch.cov(x[0])", "float32", 1.0),
    ("torch.corrcoef(x)", "float32", [[1.0, 1.0], [1.0, 1.0]]),
    ("torch.cov(torch.tensor([[1,2],[3,5]]))", "float32", [[0.5, 1.0], [1.0, 2.0]]),
)

ERRORS = (
    (
        "torch.cov(torch.ones(2,2,2))",
        RuntimeError,
        (
            "cov(): expected input to have two or fewer dimensions but got an input with 3 "
            "dimensions"
        ),
    ),
    (
        "torch.cov(torch.ones(2,3),fweights=torch.ones(2).long())",
        RuntimeError,
        (
            "cov(): expected fweights to have the same numel as there are observations in the "
            "input but got 2 != 3"
        ),
    ),
    (
        "torch.cov(torch.ones(2,3),fweights=torch.ones(3))",
        RuntimeError,
        "cov(): expected fweights to have integral dtype but got fweights with Float dtype",
    ),
    (
        "torch.cov(torch.ones(2,3),aweights=torch.ones(3).long())",
        RuntimeError,
        ("cov(): expected aweights to have floating point dtype but got aweights with Long dtype"),
    ),
    (
        "torch.corrcoef(torch.ones(2,2,2))",
        RuntimeError,
        (
            "corrcoef(): expected input to have two or fewer dimensions but got an input with "
            "3 dimensions"
        ),
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
