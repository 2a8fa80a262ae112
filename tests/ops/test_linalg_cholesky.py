"""Cholesky factors: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

from disttorch.errors import LinAlgError

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.linalg.cholesky(torch.tensor([[4.,9.],[2.,5.]]))", "float32", [[2.0, 0.0], [1.0, 2.0]]),
    (
        "torch.linalg.cholesky(torch.tensor([[4.,2.],[9.,5.]]),upper=True)",
        "float32",
        [[2.0, 1.0], [0.0, 2.0]],
    ),
    ("torch.linalg.cholesky_ex(torch.stack([torch.eye(2),-torch.eye(2)])).info", "int32", [0, 1]),
    (
        "torch.cholesky_inverse(torch.tensor([[2.,0.],[1.,4.]]))",
        "float32",
        [[0.265625, -0.03125], [-0.03125, 0.0625]],
    ),
)

ERRORS = (
    (
        "torch.linalg.cholesky(-torch.eye(2))",
        LinAlgError,
        (
            "linalg.cholesky: The factorization could not be completed because the input is "
            "not positive-definite (the leading minor of order 1 is not positive-definite)."
        ),
    ),
    (
        "torch.linalg.cholesky(torch.stack([torch.eye(2),torch.tensor([[1.,2.],[2.,1.]])]))",
        LinAlgError,
        (
            "linalg.cholesky: (Batch element 1): The factorization could not be completed "
            "because the input is not positive-definite (the leading minor of order 2 is not "
            "positive-definite)."
        ),
    ),
    (
        "torch.cholesky(-torch.eye(2))",
        LinAlgError,
        (
            "cholesky: The factorization could not be completed because the input is not "
            "positive-definite (the leading minor of order 1 is not positive-definite)."
        ),
    ),
    (
        "torch.linalg.cholesky(torch.ones(2,3))",
        RuntimeError,
        ("linalg.cholesky: A must be batches of square matrices, but they are 2 by 3 matrices"),
    ),
    (
        "torch.linalg.cholesky(torch.ones(2,2,dtype=torch.float16))",
        NotImplementedError,
        "\"cholesky_cpu\" not implemented for 'Half'",
    ),
    (
        "torch.cholesky_solve(torch.ones(4,2),torch.eye(3))",
        RuntimeError,
        (
            "Incompatible matrix sizes for cholesky_solve: each A matrix is 3 by 3 but each b "
            "matrix is 4 by 2"
        ),
    ),
    (
        "torch.cholesky_inverse(torch.zeros(2,2))",
        LinAlgError,
        (
            "cholesky_inverse: The diagonal element 1 is zero, the inversion could not be "
            "completed because the input matrix is singular."
        ),
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
