"""gather, scatter and their relatives.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("x.gather(1,torch.tensor([[2],[0]]))", "float32", [[2.0], [3.0]]),
    (
        "torch.zeros(2,3).scatter_(1,torch.tensor([[2],[0]]),1)",
        "float32",
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]],
    ),
    (
        "x.scatter(0,torch.tensor([[0]]),3.,reduce='multiply')",
        "float32",
        [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
    ),
    (
        "x.scatter(1,torch.tensor([[0,1],[1,2]]),9.,reduce='add')",
        "float32",
        [[9.0, 10.0, 2.0], [3.0, 13.0, 14.0]],
    ),
    (
        "x.scatter_reduce(1,torch.tensor([[0,0],[1,2]]),torch.ones(2,2),'sum',include_self=False)",
        "float32",
        [[2.0, 1.0, 2.0], [3.0, 1.0, 1.0]],
    ),
    (
        "x.long().scatter_reduce(1,torch.tensor([[0,0],[1,2]]),torch.ones(2,2).long(),'amax')",
        "int64",
        [[1, 1, 2], [3, 4, 5]],
    ),
    ("torch.take_along_dim(x,torch.tensor([4,0]))", "float32", [4.0, 0.0]),
)

ERRORS = (
    (
        "x.scatter_add(0,torch.tensor([[0]]),1.)",
        TypeError,
        "scatter_add(): argument 'src' (position 3) must be Tensor, not float",
    ),
    (
        "x.scatter_add_(0,torch.tensor([[0]]),1.)",
        TypeError,
        "scatter_add_(): argument 'src' (position 3) must be Tensor, not float",
    ),
    (
        "x.gather(0, torch.tensor([[5]]))",
        RuntimeError,
        "index 5 is out of bounds for dimension 0 with size 2",
    ),
    (
        "x.gather(0, torch.tensor([5]))",
        RuntimeError,
        "Index tensor must have the same number of dimensions as input tensor",
    ),
    (
        "x.gather(0, torch.zeros(1,4,dtype=torch.long))",
        RuntimeError,
        "Size does not match at dimension 1 expected index [1, 4] to be no larger than "
        "self [2, 3] apart from dimension 0",
    ),
    (
        "x.gather(0, torch.zeros(1,3))",
        RuntimeError,
        "gather(): Expected dtype int32/int64 for index",
    ),
    (
        "x.gather(1, torch.tensor([[0],[-1]]))",
        RuntimeError,
        "index -1 is out of bounds for dimension 1 with size 3",
    ),
    (
        "x.scatter(0, torch.tensor([[5]]), 1.)",
        RuntimeError,
        "index 5 is out of bounds for dimension 0 with size 2",
    ),
    (
        "x.scatter(0, torch.zeros(1,4,dtype=torch.long), 1.)",
        RuntimeError,
        "Expected index [1, 4] to be no larger than self [2, 3] apart from dimension 0",
    ),
    (
        "x.scatter(0, torch.zeros(1,3,dtype=torch.long), torch.ones(1,2))",
        RuntimeError,
        "Expected index [1, 3] to be no larger than self [2, 3] apart from dimension 0 and "
        "to be no larger size than src [1, 2]",
    ),
    (
        "x.scatter(0, torch.zeros(1,3,dtype=torch.long), torch.ones(1,3).double())",
        RuntimeError,
        "scatter(): Expected self.dtype to be equal to src.dtype",
    ),
    (
        "x.scatter(0, torch.tensor([[0]]), 1, reduce='foo')",
        RuntimeError,
        "reduce argument must be either add or multiply.",
    ),
    (
        "x.scatter_reduce(0, torch.zeros(1,3,dtype=torch.long), torch.ones(1,3),'foo')",
        RuntimeError,
        "reduce argument must be either sum, prod, mean, amax or amin, got foo",
    ),
    (
        "torch.take_along_dim(x,torch.tensor([0]),0)",
        RuntimeError,
        "torch.take_along_dim(): input and indices should have the same number of "
        "dimensions, but got 2 dimensions for input, and 1 dimensions for indices",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
