"""arange, linspace, logspace, triangles and grids.

Expected results are those of PyTorch 2.13.
"""

import pytest

import disttorch as torch

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.arange(5)", "int64", [0, 1, 2, 3, 4]),
    ("torch.arange(1,5,2)", "int64", [1, 3]),
    ("torch.arange(0,1,0.25)", "float32", [0.0, 0.25, 0.5, 0.75]),
    ("torch.arange(5,0,-2)", "int64", [5, 3, 1]),
    ("torch.arange(3.)", "float32", [0.0, 1.0, 2.0]),
    ("torch.arange(end=4)", "int64", [0, 1, 2, 3]),
    ("torch.arange(start=1,end=4)", "int64", [1, 2, 3]),
    ("torch.arange(1,4,step=2)", "int64", [1, 3]),
    ("torch.arange(1,4,dtype=torch.float16)", "float16", [1.0, 2.0, 3.0]),
    ("torch.arange(torch.tensor(3))", "int64", [0, 1, 2]),
    ("torch.arange(0)", "int64", []),
    ("torch.arange(1.5,4)", "float32", [1.5, 2.5, 3.5]),
    ("torch.arange(3,out=torch.empty(0))", "float32", [0.0, 1.0, 2.0]),
    ("torch.linspace(0,1,5)", "float32", [0.0, 0.25, 0.5, 0.75, 1.0]),
    ("torch.linspace(0,10,5,dtype=torch.int64)", "int64", [0, 2, 5, 7, 10]),
    ("torch.linspace(3,3,1)", "float32", [3.0]),
    ("torch.linspace(0,1,0)", "float32", []),
    ("torch.linspace(1,0,4)", "float32", [1.0, 0.6666666, 0.3333333, 0.0]),
    ("torch.logspace(0,2,3)", "float32", [1.0, 10.0, 100.0]),
    ("torch.logspace(0,1,3,base=2)", "float32", [1.0, 1.414214, 2.0]),
    ("torch.tril_indices(3,3)", "int64", [[0, 1, 1, 2, 2, 2], [0, 0, 1, 0, 1, 2]]),
    ("torch.triu_indices(3,4,1)", "int64", [[0, 0, 0, 1, 1, 2], [1, 2, 3, 2, 3, 3]]),
    ("torch.tril(x,-1)", "float32", [[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]]),
    ("x.clone().triu_(1)", "float32", [[0.0, 1.0, 2.0], [0.0, 0.0, 5.0]]),
    (
        "torch.meshgrid(torch.arange(2),torch.arange(3),indexing='xy')",
        "int64",
        [[[0, 1], [0, 1], [0, 1]], [[0, 0], [1, 1], [2, 2]]],
    ),
)

ERRORS = (
    ("torch.arange(0,64,.5,dtype=torch.int64)", ValueError, "step must be nonzero"),
    ("torch.arange(0,5,0)", RuntimeError, "step must be nonzero"),
    ("torch.arange(5,0)", RuntimeError, "upper bound and lower bound inconsistent with step sign"),
    ("torch.linspace(0,1,-1)", RuntimeError, "number of steps must be non-negative"),
    (
        "torch.tril(torch.ones(3))",
        RuntimeError,
        "tril: input tensor must have at least 2 dimensions",
    ),
    ("torch.cartesian_prod(x)", RuntimeError, "Expect a 1D vector, but got shape [2, 3]"),
    ("torch.combinations(x)", RuntimeError, "Expect a 1D vector, but got shape [2, 3]"),
    (
        "torch.meshgrid(torch.ones(2),torch.ones(3),indexing='zz')",
        RuntimeError,
        'torch.meshgrid: indexing must be one of "xy" or "ij", but received: zz',
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)


@pytest.mark.parametrize(
    ("call", "text"),
    (
        (lambda: torch.range(0, 3), "torch.range is deprecated"),
        (lambda: torch.meshgrid(torch.ones(2), torch.ones(3)), "pass the indexing argument"),
    ),
)
def test_warnings(call, text):
    with pytest.warns(UserWarning, match=text):
        call()
