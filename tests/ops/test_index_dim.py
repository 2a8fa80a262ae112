"""Picking and writing along one dimension.

Expected results are those of PyTorch 2.13.
"""

import pytest

import disttorch as torch

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    (
        "x.index_add(0,torch.tensor([0,0]),torch.ones(2,3),alpha=2)",
        "float32",
        [[4.0, 5.0, 6.0], [3.0, 4.0, 5.0]],
    ),
    ("x.index_select(0,torch.tensor(1))", "float32", [[3.0, 4.0, 5.0]]),
    ("torch.tensor(1.).index_select(0,torch.tensor([0]))", "float32", 1.0),
    ("x.index_fill(1,torch.tensor([0,0]),9)", "float32", [[9.0, 1.0, 2.0], [9.0, 4.0, 5.0]]),
    (
        "x.put_(torch.tensor([1,1]),torch.tensor([5.,6.]),accumulate=True)",
        "float32",
        [[0.0, 12.0, 2.0], [3.0, 4.0, 5.0]],
    ),
)

ERRORS = (
    (
        "x.index_copy(0,torch.tensor([0,1]),torch.ones(3,3))",
        IndexError,
        "index_copy_(): Number of indices (2) should be equal to source.size(dim) (3)",
    ),
    (
        "x.index_copy(0,torch.tensor([0,1]),torch.ones(2,4))",
        RuntimeError,
        "index_copy_(): Source/destination tensor must have same slice shapes. Destination "
        "slice shape: 3 at dimension 0 and source slice shape: 4 at dimension 0.",
    ),
    (
        "x.index_copy(0,torch.tensor([0,1]),1.)",
        TypeError,
        "index_copy(): argument 'source' (position 3) must be Tensor, not float",
    ),
    (
        "x.index_copy(0,torch.tensor([0,1]),x.double())",
        RuntimeError,
        "index_copy_(): self and source expected to have the same dtype, but got (self) Float "
        "and (source) Double",
    ),
    (
        "x.index_copy(0,torch.tensor([0,1]).int(),x)",
        RuntimeError,
        "index_copy_(): Expected a long tensor for index, but got Int",
    ),
    (
        "x.index_copy(0,torch.tensor([0,1]),torch.ones(2))",
        IndexError,
        "index_copy_(): When source and destination are not scalars, their dimensionality must "
        "match. Source dimensionality (1), destination dimensionality (2)",
    ),
    (
        "x.index_copy(0,torch.tensor([0,1]),torch.tensor(1.))",
        IndexError,
        "index_copy_(): When source is scalar, index should have one element (got 2)",
    ),
    ("x.index_select(0, torch.tensor([5]))", IndexError, "index out of range in self"),
    ("x.index_select(0, torch.tensor([-1]))", IndexError, "index out of range in self"),
    (
        "x.index_select(2, torch.tensor([0]))",
        IndexError,
        "Dimension out of range (expected to be in range of [-2, 1], but got 2)",
    ),
    (
        "x.index_select(0, torch.tensor([[0]]))",
        IndexError,
        "index_select(): Index is supposed to be a vector",
    ),
    (
        "x.index_select(0, torch.tensor([0.]))",
        RuntimeError,
        "index_select(): Expected dtype int32 or int64 for index",
    ),
    (
        "x.index_add(0, torch.tensor([0,5]), torch.ones(2,3))",
        RuntimeError,
        "index 5 is out of bounds for dimension 0 with size 2",
    ),
    (
        "x.index_add(0, torch.tensor([0,1]), torch.ones(3,3))",
        RuntimeError,
        "index_add_(): Number of indices (2) should be equal to source.size(dim): (3), for dim: 0",
    ),
    (
        "x.index_copy(0, torch.tensor([0,5]), torch.ones(2,3))",
        IndexError,
        "index_copy_(): index 5 is out of bounds for dimension 0 with size 2",
    ),
    (
        "x.index_fill(0, torch.tensor([5]), 1.)",
        IndexError,
        "index 5 is out of bounds for dimension 0 with size 2",
    ),
    (
        "x.take(torch.tensor([7]))",
        IndexError,
        "out of range: tried to access index 7 on a tensor of 6 elements.",
    ),
    (
        "x.put_(torch.tensor([9]),torch.tensor([1.]))",
        IndexError,
        "out of range: tried to access index 9 on a tensor of 6 elements.",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)


ROWS = torch.tensor([1, 0])
EACH = torch.tensor([[0, 1], [1, 0]])
MASK = torch.tensor([[True, False, True], [False, True, False]])
WRITERS = (
    ("index_add", (0, ROWS, torch.ones(2, 3))),
    ("index_copy", (0, ROWS, torch.ones(2, 3))),
    ("index_fill", (1, ROWS, 2.0)),
    ("index_put", ((ROWS,), torch.ones(3))),
    ("put", (ROWS, torch.ones(2))),
    ("scatter", (1, EACH, torch.ones(2, 2))),
    ("scatter", (1, EACH, 2.0)),
    ("scatter_add", (1, EACH, torch.ones(2, 2))),
    ("scatter_reduce", (1, EACH, torch.ones(2, 2), "amax")),
    ("masked_fill", (MASK, 2.0)),
    ("masked_scatter", (MASK, torch.ones(3))),
)


@pytest.mark.parametrize(("name", "arguments"), WRITERS)
def test_in_place_variants(name, arguments):
    """Each equals its out-of-place form in value and gradient, through a view as well."""
    results = []
    for inplace in (False, True):
        x = torch.arange(6.0).view(2, 3).requires_grad_()
        y = x * 1
        if inplace:
            assert getattr(y[:], f"{name}_")(*arguments).shape == (2, 3)
            assert y._version == 1
        else:
            y = getattr(y, name)(*arguments)
        (y * torch.arange(6.0).view(2, 3)).sum().backward()
        results.append((y.tolist(), x.grad.tolist()))
    assert results[0] == results[1]


@pytest.mark.parametrize(("name", "arguments"), WRITERS)
def test_leaves_that_require_grad_are_not_written(name, arguments):
    x = torch.zeros(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        getattr(x, f"{name}_")(*arguments)
    assert not x.detach().any()
