"""Determinants: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

NAN = float("nan")
INF = float("inf")
# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.det(torch.tensor([[1.,2.],[3.,4.]]))", "float32", -2.0),
    ("torch.linalg.slogdet(torch.zeros(2,2))", "float32", [0.0, -INF]),
    ("torch.logdet(torch.tensor([[0.,1.],[1.,0.]]))", "float32", NAN),
)

ERRORS = (
    (
        "torch.linalg.det(torch.ones(2,3))",
        RuntimeError,
        "linalg.det: A must be batches of square matrices, but they are 2 by 3 matrices",
    ),
    (
        "torch.det(torch.ones(2,2).long())",
        RuntimeError,
        "linalg.det: Expected a floating point or complex tensor as input. Got Long",
    ),
    (
        "torch.slogdet(torch.ones(2,2).half())",
        RuntimeError,
        "linalg.slogdet: Low precision dtypes not supported. Got Half",
    ),
    (
        "torch.logdet(torch.ones(3))",
        RuntimeError,
        "logdet: The input tensor A must have at least 2 dimensions.",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
