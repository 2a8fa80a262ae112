"""Distances: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.cdist(x,x)", "float32", [[0.0, 5.196152210235596], [5.196152210235596, 0.0]]),
    ("torch.cdist(x,x,p=1)", "float32", [[0.0, 9.0], [9.0, 0.0]]),
    ("torch.pdist(x)", "float32", [5.196152210235596]),
    ("torch.cdist(x,x+1,p=float('inf'))", "float32", [[1.0, 4.0], [2.0, 1.0]]),
    (
        "torch.cdist(torch.zeros(2,0),torch.zeros(3,0))",
        "float32",
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    ),
)

ERRORS = (
    (
        "torch.cdist(torch.ones(2,3),torch.ones(2,2))",
        RuntimeError,
        "X1 and X2 must have the same number of columns. X1: 3 X2: 2",
    ),
    (
        "torch.cdist(torch.ones(2,3),torch.ones(2,3),p=-1)",
        RuntimeError,
        "cdist only supports non-negative p values",
    ),
    (
        "torch.cdist(torch.ones(3),torch.ones(2,3))",
        RuntimeError,
        "cdist only supports at least 2D tensors, X1 got: 1D",
    ),
    (
        "torch.cdist(torch.ones(2,3),torch.ones(2,3),compute_mode='x')",
        ValueError,
        "x is not a valid value for compute_mode",
    ),
    ("torch.pdist(torch.ones(3))", RuntimeError, "pdist only supports 2D tensors, got: 1D"),
    (
        "torch.pdist(torch.ones(3,2),p=-1)",
        RuntimeError,
        "pdist only supports non-negative p values",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
