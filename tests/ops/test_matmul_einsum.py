"""einsum, tensordot, diagonals.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.einsum('ij,kj->ik',x,x)", "float32", [[5.0, 14.0], [14.0, 50.0]]),
    ("torch.einsum('ij',x.t())", "float32", [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]),
    ("torch.einsum('ba',x)", "float32", [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]),
    ("torch.einsum(x,[0,1],x,[2,1],[0,2])", "float32", [[5.0, 14.0], [14.0, 50.0]]),
    (
        "torch.einsum('ij,jk->ik',torch.ones(2,1),torch.ones(3,4))",
        "float32",
        [[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0]],
    ),
    ("torch.einsum('...i->...',x)", "float32", [3.0, 12.0]),
    ("torch.tensordot(x,x,([0,1],[0,1]))", "float32", 55.0),
    ("torch.diag(torch.ones(2),1)", "float32", [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]),
    (
        "torch.diag_embed(torch.ones(2),-1)",
        "float32",
        [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
    ),
    ("torch.kron(torch.tensor([1,2]),torch.tensor([1,10]))", "int64", [1, 10, 2, 20]),
    ("torch.trace(x)", "float32", 4.0),
)

ERRORS = (
    (
        "torch.einsum('ij,jk->ik',torch.ones(2,3),torch.ones(4,5))",
        RuntimeError,
        "einsum(): subscript j has size 4 for operand 1 which does not broadcast with "
        "previously seen size 3",
    ),
    (
        "torch.einsum('ij,jk',torch.ones(2,3))",
        RuntimeError,
        "einsum(): fewer operands were provided than specified in the equation",
    ),
    (
        "torch.einsum('ij->k',torch.ones(2,3))",
        RuntimeError,
        "einsum(): output subscript k does not appear in the equation for any input operand",
    ),
    (
        "torch.einsum('ijk->i',torch.ones(2,3))",
        RuntimeError,
        "einsum(): the number of subscripts in the equation (3) does not match the number "
        "of dimensions (2) for operand 0 and no ellipsis was given",
    ),
    (
        "torch.einsum('i1->i',torch.ones(2,3))",
        RuntimeError,
        "einsum(): invalid subscript given at index 1 in the equation string, subscripts "
        "must be in [a-zA-Z]",
    ),
    (
        "torch.einsum('ij->ii',torch.ones(2,3))",
        RuntimeError,
        "einsum(): output subscript i appears more than once in the output",
    ),
    (
        "torch.tensordot(torch.ones(2,3),torch.ones(4,5),1)",
        RuntimeError,
        "contracted dimensions need to match, but first has size 3 in dim -1 and second "
        "has size 4 in dim 0",
    ),
    (
        "torch.trace(torch.ones(3))",
        RuntimeError,
        "trace: expected a matrix, but got tensor with dim 1",
    ),
    ("torch.diag(torch.ones(3,3,3))", RuntimeError, "diag(): Supports 1D or 2D tensors. Got 3D"),
    (
        "torch.diag_embed(torch.tensor(1.))",
        IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got -2)",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
