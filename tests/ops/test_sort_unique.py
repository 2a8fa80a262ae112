"""Distinct values, counts and places in an order.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    (
        "torch.tensor([3,1,2,1]).unique(return_inverse=True,return_counts=True)",
        "int64",
        [[1, 2, 3], [2, 0, 1, 0], [2, 1, 1]],
    ),
    (
        "torch.tensor([[1,2],[1,2],[0,1]]).unique(dim=0,return_inverse=True,return_counts=True)",
        "int64",
        [[[0, 1], [1, 2]], [1, 1, 0], [1, 2]],
    ),
    (
        "torch.unique_consecutive(torch.tensor([1,1,2,2,1]),return_inverse=True,return_co"
        "unts=True)",
        "int64",
        [[1, 2, 1], [0, 0, 1, 1, 2], [2, 2, 1]],
    ),
    (
        "torch.unique_consecutive(torch.tensor([[1,1],[1,1],[2,1]]),dim=0)",
        "int64",
        [[1, 1], [2, 1]],
    ),
    ("torch.bincount(torch.tensor([0,1,1,3]))", "int64", [1, 2, 0, 1]),
    ("torch.bincount(torch.tensor([0,1,1,3]),torch.ones(4))", "float32", [1.0, 2.0, 0.0, 1.0]),
    ("torch.bincount(torch.tensor([0,1]),minlength=5)", "int64", [1, 1, 0, 0, 0]),
    ("torch.searchsorted(torch.tensor([1,3,5]),torch.tensor([3,6]),right=True)", "int64", [2, 3]),
    ("torch.searchsorted(torch.tensor([1,3,5]),3)", "int64", 1),
    ("torch.searchsorted(torch.tensor([1,3,5]),torch.tensor([3]),out_int32=True)", "int32", [1]),
    (
        "torch.searchsorted(torch.tensor([5,3,1]),torch.tensor([3]),sorter=torch.tensor([2,1,0]))",
        "int64",
        [1],
    ),
    ("torch.searchsorted(torch.arange(6.).view(2,3),torch.ones(2,2))", "int64", [[1, 1], [0, 0]]),
    (
        "torch.bucketize(torch.tensor([1.,2.5]),torch.tensor([1.,2.,3.]),right=True)",
        "int64",
        [1, 2],
    ),
    ("torch.isin(x,torch.tensor([1.,2.]))", "bool", [[False, True, True], [False, False, False]]),
    ("torch.isin(x,1,invert=True)", "bool", [[True, False, True], [True, True, True]]),
    ("torch.histc(x,4)", "float32", [2.0, 1.0, 1.0, 2.0]),
)

ERRORS = (
    (
        "torch.bincount(torch.tensor([-1]))",
        RuntimeError,
        "bincount only supports 1-d non-negative integral inputs.",
    ),
    (
        "torch.bincount(torch.ones(2))",
        NotImplementedError,
        "\"bincount_cpu\" not implemented for 'Float'",
    ),
    (
        "torch.searchsorted(torch.ones(2,3),torch.ones(3,3))",
        RuntimeError,
        "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
        "dimensions of boundaries tensor and input value tensor must match, but we got "
        "boundaries tensor [2, 3] and input value tensor [3, 3]",
    ),
    (
        "torch.bucketize(torch.ones(2),torch.ones(2,2))",
        RuntimeError,
        "boundaries tensor must be 1 dimension, but got dim(2)",
    ),
    (
        "torch.histc(x.long(),4)",
        NotImplementedError,
        "\"histogram_cpu\" not implemented for 'Long'",
    ),
    (
        "torch.unique(torch.tensor(1),dim=0)",
        IndexError,
        "Dimension specified as 0 but tensor has no dimensions",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
