"""Order along a dimension.

Expected results are those of PyTorch 2.13.
"""

import pytest

NAN, INF = float("nan"), float("inf")

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("x.sort(descending=True)", None, [[[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]], [[2, 1, 0], [2, 1, 0]]]),
    (
        "x.sort(stable=True,dim=0,descending=True)",
        None,
        [[[3.0, 4.0, 5.0], [0.0, 1.0, 2.0]], [[1, 1, 1], [0, 0, 0]]],
    ),
    ("torch.tensor([1,float('nan'),0]).sort()", None, [[0.0, 1.0, NAN], [2, 0, 1]]),
    ("torch.tensor([1,float('nan'),0]).sort(descending=True)", None, [[NAN, 1.0, 0.0], [1, 0, 2]]),
    ("torch.tensor([1,float('nan'),0]).topk(2)", None, [[NAN, 1.0], [1, 0]]),
    ("torch.tensor([1,float('nan'),0]).topk(2,largest=False)", None, [[0.0, 1.0], [2, 0]]),
    (
        "torch.tensor([1,1,0,1]).sort(descending=True,stable=True)",
        "int64",
        [[1, 1, 1, 0], [0, 1, 3, 2]],
    ),
    ("torch.tensor([2.,1.],dtype=torch.bfloat16).sort()", None, [[1.0, 2.0], [1, 0]]),
    ("torch.tensor([True,False]).sort()", None, [[False, True], [1, 0]]),
    ("x.kthvalue(2)", None, [[1.0, 4.0], [1, 1]]),
    ("x.kthvalue(2,0,True)", None, [[[3.0, 4.0, 5.0]], [[1, 1, 1]]]),
    (
        "repr(torch.sort(torch.ones(2)))",
        None,
        "torch.return_types.sort(\nvalues=tensor([1., 1.]),\nindices=tensor([0, 1]))",
    ),
    ("torch.sort(x).values", "float32", [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
    ("torch.sort(x).indices", "int64", [[0, 1, 2], [0, 1, 2]]),
    (
        "torch.sort(x,out=(torch.empty(0),torch.empty(0,dtype=torch.int64)))",
        None,
        [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], [[0, 1, 2], [0, 1, 2]]],
    ),
)

ERRORS = (
    ("torch.topk(x,5)", RuntimeError, "selected index k out of range"),
    (
        "torch.kthvalue(x,5)",
        RuntimeError,
        "kthvalue(): selected number k out of range for dimension 1",
    ),
    (
        "torch.sort(x,5)",
        IndexError,
        "Dimension out of range (expected to be in range of [-2, 1], but got 5)",
    ),
    (
        "torch.ones(2,dtype=torch.complex64).sort()",
        RuntimeError,
        " Sort does not support complex dtypes on CPU",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
