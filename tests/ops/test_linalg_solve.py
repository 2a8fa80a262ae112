"""Inverses and systems: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

from disttorch.errors import LinAlgError

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.linalg.inv(torch.tensor([[2.,0.],[1.,4.]]))", "float32", [[0.5, 0.0], [-0.125, 0.25]]),
    ("torch.linalg.inv_ex(torch.stack([torch.eye(2),torch.zeros(2,2)])).info", "int32", [0, 1]),
    ("torch.linalg.solve_ex(torch.zeros(2,2),torch.ones(2)).info", "int32", 1),
    ("torch.linalg.solve(2*torch.eye(2),torch.ones(3,2,1)).shape", None, (3, 2, 1)),
)

ERRORS = (
    (
        "torch.linalg.inv(torch.zeros(2,2))",
        LinAlgError,
        (
            "linalg.inv: The diagonal element 1 is zero, the inversion could not be completed "
            "because the input matrix is singular."
        ),
    ),
    (
        "torch.linalg.inv(torch.stack([torch.eye(2),torch.zeros(2,2)]))",
        LinAlgError,
        (
            "linalg.inv: (Batch element 1): The diagonal element 1 is zero, the inversion "
            "could not be completed because the input matrix is singular."
        ),
    ),
    (
        "torch.inverse(torch.zeros(2,2))",
        LinAlgError,
        (
            "linalg.inv: The diagonal element 1 is zero, the inversion could not be completed "
            "because the input matrix is singular."
        ),
    ),
    (
        "torch.linalg.inv_ex(torch.zeros(2,2),check_errors=True)",
        LinAlgError,
        (
            "linalg.inv_ex: The diagonal element 1 is zero, the inversion could not be "
            "completed because the input matrix is singular."
        ),
    ),
    (
        "torch.linalg.inv(torch.ones(3))",
        RuntimeError,
        "linalg.inv: The input tensor A must have at least 2 dimensions.",
    ),
    (
        "torch.linalg.inv(torch.ones(2,3))",
        RuntimeError,
        "linalg.inv: A must be batches of square matrices, but they are 2 by 3 matrices",
    ),
    (
        "torch.linalg.inv(torch.ones(2,2,dtype=torch.int64))",
        RuntimeError,
        "linalg.inv: Expected a floating point or complex tensor as input. Got Long",
    ),
    (
        "torch.linalg.inv(torch.ones(2,2,dtype=torch.float16))",
        RuntimeError,
        "linalg.inv: Low precision dtypes not supported. Got Half",
    ),
    (
        "torch.linalg.solve(torch.zeros(2,2),torch.ones(2))",
        LinAlgError,
        "torch.linalg.solve: The solver failed because the input matrix is singular.",
    ),
    (
        "torch.linalg.solve(torch.eye(3),torch.ones(4,2))",
        RuntimeError,
        "linalg.solve: Incompatible shapes of A and B for the equation AX = B (3x3 and 4x2)",
    ),
    (
        "torch.linalg.solve(torch.eye(3),torch.ones(4,2),left=False)",
        RuntimeError,
        "linalg.solve: Incompatible shapes of A and B for the equation XA = B (3x3 and 4x2)",
    ),
    (
        "torch.linalg.solve(torch.eye(3),torch.ones(3,dtype=torch.float64))",
        RuntimeError,
        (
            "linalg.solve: Expected A and B to have the same dtype, but found A of type Float "
            "and B of type Double instead"
        ),
    ),
    (
        "torch.linalg.tensorinv(torch.ones(4,2,2),ind=2)",
        RuntimeError,
        (
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            "prod(self.shape[:ind]), but got 2 != 8"
        ),
    ),
    (
        "torch.linalg.tensorinv(torch.ones(2,2),ind=0)",
        RuntimeError,
        "Expected a strictly positive integer for 'ind', but got 0",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
