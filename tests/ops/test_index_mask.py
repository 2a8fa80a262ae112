"""Picking and writing where a mask is true.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    (
        "x.masked_fill(torch.tensor([True,False,True]),-1)",
        "float32",
        [[-1.0, 1.0, -1.0], [-1.0, 4.0, -1.0]],
    ),
    ("x.long().masked_fill(torch.tensor([True,False,True]),2.7)", "int64", [[2, 1, 2], [2, 4, 2]]),
    ("x.masked_select(torch.tensor([True,False,True]))", "float32", [0.0, 2.0, 3.0, 5.0]),
    (
        "x.masked_scatter(torch.tensor([True,False,True]),torch.arange(9.))",
        "float32",
        [[0.0, 1.0, 1.0], [2.0, 4.0, 3.0]],
    ),
    ("x.nonzero(as_tuple=True)", "int64", [[0, 0, 1, 1, 1], [1, 2, 0, 1, 2]]),
    ("torch.nonzero(torch.tensor(1.)).shape", None, (1, 0)),
    ("torch.argwhere(x)", "int64", [[0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]),
)

ERRORS = (
    (
        "x.masked_fill(torch.ones(2), 1)",
        RuntimeError,
        "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 1",
    ),
    (
        "x.masked_fill(torch.ones(3), 1)",
        RuntimeError,
        "masked_fill_ only supports boolean masks, but got mask with dtype float",
    ),
    (
        "x.masked_fill(torch.ones(3,dtype=torch.bool), torch.ones(2))",
        RuntimeError,
        "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with 1 "
        "dimension(s).",
    ),
    (
        "x.masked_fill_(torch.ones(2,2,3,dtype=torch.bool), 2)",
        RuntimeError,
        "output with shape [2, 3] doesn't match the broadcast shape [2, 2, 3]",
    ),
    (
        "x.masked_select(torch.ones(2,3))",
        RuntimeError,
        "masked_select: expected BoolTensor for mask",
    ),
    (
        "x.masked_select(torch.ones(2,dtype=torch.bool))",
        RuntimeError,
        "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 1",
    ),
    (
        "x.masked_scatter(x.bool(), torch.ones(1))",
        RuntimeError,
        "Number of elements of source < number of ones in mask",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
