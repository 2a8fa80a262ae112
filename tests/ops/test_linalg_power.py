"""Powers and chains of products: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    (
        "torch.linalg.matrix_power(torch.tensor([[1.,1.],[0.,1.]]),5)",
        "float32",
        [[1.0, 5.0], [0.0, 1.0]],
    ),
    (
        "torch.linalg.matrix_power(torch.tensor([[1.,1.],[0.,1.]]),-2)",
        "float32",
        [[1.0, -2.0], [0.0, 1.0]],
    ),
    ("torch.matrix_exp(torch.tensor([[0.,1.],[0.,0.]]))", "float32", [[1.0, 1.0], [0.0, 1.0]]),
    (
        "torch.linalg.multi_dot([x.t(),x,x.t()])",
        "float32",
        [[42.0, 150.0], [61.0, 214.0], [80.0, 278.0]],
    ),
)

ERRORS = (
    (
        "torch.linalg.matrix_power(torch.ones(3,2),2)",
        RuntimeError,
        ("linalg.matrix_power: A must be batches of square matrices, but they are 3 by 2 matrices"),
    ),
    (
        "torch.linalg.matrix_power(torch.eye(2),1.5)",
        TypeError,
        "linalg_matrix_power(): argument 'n' (position 2) must be int, not float",
    ),
    (
        "torch.linalg.matrix_exp(torch.ones(2,3))",
        RuntimeError,
        ("linalg.matrix_exp: A must be batches of square matrices, but they are 2 by 3 matrices"),
    ),
    (
        "torch.linalg.multi_dot([torch.eye(2)])",
        RuntimeError,
        "multi_dot(): expected at least 2 tensors but got 1",
    ),
    (
        "torch.linalg.multi_dot([torch.eye(3),torch.eye(3),torch.ones(4,2)])",
        RuntimeError,
        "multi_dot(): tensors 1 and 2 with shapes [3, 3] and [4, 2] cannot be multiplied",
    ),
    (
        "torch.linalg.multi_dot([torch.eye(3),torch.ones(3,3,3),torch.eye(3)])",
        RuntimeError,
        "multi_dot(): tensor 1 must be 2D but got 3D",
    ),
    ("torch.chain_matmul()", RuntimeError, "chain_matmul(): Expected one or more matrices"),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
