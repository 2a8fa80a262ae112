"""Triangular systems: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

NAN = float("nan")
INF = float("inf")
# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    (
        (
            "torch.linalg.solve_triangular(torch.tensor([[2.,9.],[1.,4.]]),torch.ones(2,1),"
            "upper=False)"
        ),
        "float32",
        [[0.5], [0.125]],
    ),
    (
        "torch.triangular_solve(torch.ones(2,1),torch.tensor([[2.,1.],[9.,4.]]))",
        "float32",
        [[[0.375], [0.25]], [[2.0, 1.0], [9.0, 4.0]]],
    ),
    (
        "torch.triangular_solve(torch.ones(2,1),torch.zeros(2,2)).solution",
        "float32",
        [[NAN], [INF]],
    ),
)

ERRORS = (
    (
        "torch.linalg.solve_triangular(torch.eye(3),torch.ones(4,2),upper=True)",
        RuntimeError,
        (
            "linalg.solve_triangular: Incompatible shapes of A and B for the equation AX = B "
            "(3x3 and 4x2)"
        ),
    ),
    (
        "torch.linalg.solve_triangular(torch.eye(3),torch.ones(3),upper=True)",
        RuntimeError,
        "linalg.solve_triangular: The input tensor B must have at least 2 dimensions.",
    ),
    (
        ("torch.linalg.solve_triangular(torch.eye(3).long(),torch.ones(3,1).long(),upper=True)"),
        NotImplementedError,
        "\"triangular_solve_cpu\" not implemented for 'Long'",
    ),
    (
        "torch.triangular_solve(torch.ones(4,2),torch.eye(3))",
        RuntimeError,
        (
            "Incompatible matrix sizes for triangular_solve: each A matrix is 3 by 3 but each "
            "b matrix is 4 by 2"
        ),
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
