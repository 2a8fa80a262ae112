"""Norms and condition numbers: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

INF = float("inf")
# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.linalg.norm(x)", "float32", 7.416198253631592),
    ("torch.linalg.norm(x,1)", "float32", 7.0),
    ("torch.linalg.norm(x,float('inf'))", "float32", 12.0),
    ("torch.linalg.vector_norm(x,0)", "float32", 5.0),
    ("torch.linalg.matrix_norm(torch.zeros(0,2),2)", "float32", 0.0),
    ("torch.linalg.norm(x,2,dim=1)", "float32", [2.2360680103302, 7.071067810058594]),
    ("torch.norm(x[:,:2],'nuc')", "float32", 5.656854152679443),
    ("torch.linalg.cond(torch.zeros(2,2),1)", "float32", INF),
    ("torch.linalg.cond(torch.tensor([[1.,0.],[0.,4.]]))", "float32", 4.0),
)

ERRORS = (
    (
        "torch.linalg.matrix_norm(torch.eye(2),'x')",
        RuntimeError,
        "linalg.matrix_norm: Order x not supported.",
    ),
    (
        "torch.linalg.matrix_norm(torch.eye(2),3)",
        RuntimeError,
        "linalg.matrix_norm: Order 3 not supported.",
    ),
    (
        "torch.linalg.matrix_norm(torch.eye(2),dim=(0,0))",
        RuntimeError,
        "linalg.matrix_norm: dims must be different. Got (0, 0)",
    ),
    (
        "torch.linalg.matrix_norm(torch.ones(3))",
        RuntimeError,
        "linalg.matrix_norm: The input tensor A must have at least 2 dimensions.",
    ),
    (
        "torch.linalg.norm(torch.ones(2,2,2),2)",
        RuntimeError,
        ("linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got 3D."),
    ),
    (
        "torch.linalg.norm(torch.ones(2,2,2),2,dim=(0,1,2))",
        RuntimeError,
        "linalg.norm: If dim is specified, it must be of length 1 or 2. Got [0, 1, 2]",
    ),
    (
        "torch.linalg.norm(torch.eye(2),'nuc',dim=0)",
        RuntimeError,
        "linalg.matrix_norm: dim must be a 2-tuple. Got 0",
    ),
    (
        "torch.linalg.vector_norm(torch.ones(2).long())",
        RuntimeError,
        "linalg.vector_norm: Expected a floating point or complex tensor as input. Got Long",
    ),
    (
        "torch.linalg.vector_norm(torch.ones(2),dtype=torch.complex64)",
        RuntimeError,
        "linalg.vector_norm: dtype should be real for real inputs, but got ComplexFloat",
    ),
    (
        "torch.linalg.vector_norm(torch.ones(2,dtype=torch.float64),dtype=torch.float32)",
        RuntimeError,
        (
            "linalg.vector_norm: the dtype of the input (Double) should be convertible without "
            "narrowing to the specified dtype (Float)"
        ),
    ),
    (
        "torch.linalg.vector_norm(torch.zeros(0),float('inf'))",
        RuntimeError,
        (
            "linalg.vector_norm cannot compute the inf norm on an empty tensor because the "
            "operation does not have an identity"
        ),
    ),
    (
        "torch.linalg.vector_norm(torch.zeros(0,2),float('inf'),dim=0)",
        RuntimeError,
        (
            "linalg.vector_norm cannot compute the inf norm on the dimension 0because this "
            "dimension is empty and the operation does not have an identity"
        ),
    ),
    (
        "torch.linalg.cond(torch.ones(2,3),1)",
        RuntimeError,
        ("linalg.cond(ord=1): A must be batches of square matrices, but they are 2 by 3 matrices"),
    ),
    (
        "torch.linalg.cond(torch.eye(2),'x')",
        RuntimeError,
        "linalg.cond got an invalid norm type: x",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
