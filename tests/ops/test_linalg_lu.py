"""LU factorisations: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    (
        "torch.linalg.lu_factor(torch.tensor([[1.,2.],[4.,2.]]))",
        None,
        [[[4.0, 2.0], [0.25, 1.5]], [2, 2]],
    ),
    (
        "torch.linalg.lu(torch.tensor([[1.,2.],[4.,2.]]))",
        "float32",
        [[[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.25, 1.0]], [[4.0, 2.0], [0.0, 1.5]]],
    ),
    ("torch.linalg.lu_factor_ex(torch.zeros(2,2)).info", "int32", 1),
    (
        "torch.lu_unpack(*torch.linalg.lu_factor(torch.eye(2)),unpack_data=False)",
        "float32",
        [[[1.0, 0.0], [0.0, 1.0]], [], []],
    ),
)

ERRORS = (
    (
        "torch.linalg.lu_factor(torch.zeros(2,2))",
        RuntimeError,
        (
            "torch.linalg.lu_factor: U[1,1] is zero and using it on lu_solve would result in a "
            "division by zero. If you still want to perform the factorization, consider "
            "calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        ),
    ),
    (
        "torch.linalg.lu_factor(torch.eye(2),pivot=False)",
        RuntimeError,
        "linalg.lu_factor: LU without pivoting is not implemented on the CPU",
    ),
    (
        "torch.linalg.lu_factor(torch.ones(3))",
        RuntimeError,
        "torch.lu_factor: Expected tensor with 2 or more dimensions. Got size: [3] instead",
    ),
    (
        "torch.linalg.lu(torch.ones(3))",
        RuntimeError,
        "linalg.lu: Expected tensor with 2 or more dimensions. Got size: [3] instead",
    ),
    (
        "torch.lu_unpack(torch.eye(2),torch.ones(2,dtype=torch.int64))",
        RuntimeError,
        (
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 "
            "dtype.\nNote: this function is intended to be used with the output produced by "
            "torch.linalg.lu_factor"
        ),
    ),
    (
        ("torch.linalg.lu_solve(torch.eye(3),torch.ones(3,dtype=torch.int64),torch.ones(3,1))"),
        RuntimeError,
        "linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
