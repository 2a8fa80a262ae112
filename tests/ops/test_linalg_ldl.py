"""LDL factorisations: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    (
        "torch.linalg.ldl_factor(torch.tensor([[4.,0.],[2.,3.]]))",
        None,
        [[[4.0, 0.0], [0.5, 2.0]], [1, 2]],
    ),
    ("torch.linalg.ldl_factor_ex(torch.tensor([[0.,0.],[1.,0.]])).pivots", "int32", [-2, -2]),
    ("torch.linalg.ldl_factor_ex(torch.zeros(2,2)).info", "int32", 1),
)

ERRORS = (
    (
        "torch.linalg.ldl_factor(torch.ones(2,3))",
        RuntimeError,
        (
            "torch.linalg.ldl_factor_ex: A must be batches of square matrices, but they are 2 "
            "by 3 matrices"
        ),
    ),
    (
        ("torch.linalg.ldl_solve(torch.eye(3),torch.ones(3,dtype=torch.int32),torch.ones(4,2))"),
        RuntimeError,
        (
            "Incompatible matrix sizes for torch.linalg.ldl_solve: each A matrix is 3 by 3 but "
            "each b matrix is 4 by 2"
        ),
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
