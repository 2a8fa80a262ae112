"""Views of a part of the memory, and changes of shape in place.

Expected results are those of PyTorch 2.13.
"""

import pytest

import disttorch as torch

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("x.select(1,-1)", "float32", [2.0, 5.0]),
    ("x.narrow(1,1,2)", "float32", [[1.0, 2.0], [4.0, 5.0]]),
    ("x.diagonal(1)", "float32", [1.0, 5.0]),
    ("x.diagonal(5).shape", None, (0,)),
    ("x.unfold(1,2,1)", "float32", [[[0.0, 1.0], [1.0, 2.0]], [[3.0, 4.0], [4.0, 5.0]]]),
    ("torch.tensor(1.).unfold(0,1,1)", "float32", [1.0]),
    ("x[1:].storage_offset()", None, 3),
    ("x.t().storage_offset()", None, 0),
    ("x[1:].as_strided((2,),(1,))", "float32", [3.0, 4.0]),
    ("x[1:].as_strided((2,),(1,),0)", "float32", [0.0, 1.0]),
    ("x.as_strided((2,2),(1,1),1)", "float32", [[1.0, 2.0], [2.0, 3.0]]),
    ("x.resize_(2,2)", "float32", [[0.0, 1.0], [2.0, 3.0]]),
    ("x[:,1:].resize_(1,2)", "float32", [[1.0, 2.0]]),
    ("x.resize_(3,3).shape", None, (3, 3)),
    ("x.resize_as_(torch.ones(2)).shape", None, (2,)),
    ("x.unsqueeze_(0).shape", None, (1, 2, 3)),
    ("x.unsqueeze_(0).squeeze_().shape", None, (2, 3)),
    ("x.t_()", "float32", [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]),
    ("x.transpose_(0,1).stride()", None, (1, 3)),
    ("x.swapaxes_(0,1).shape", None, (3, 2)),
)

ERRORS = (
    ("x.narrow(0,1,4)", RuntimeError, "start (1) + length (4) exceeds dimension size (2)."),
    ("x.narrow_copy(0,0,-1)", RuntimeError, "start (0) + length (-1) exceeds dimension size (2)."),
    (
        "x.narrow_copy(2,0,0)",
        RuntimeError,
        "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false.  "
        "(Could this error message be improved?  If so, please report an enhancement request to "
        "PyTorch.)",
    ),
    (
        "x.narrow_copy(-3,0,0)",
        IndexError,
        "Dimension out of range (expected to be in range of [-2, 1], but got -3)",
    ),
    (
        "x.narrow(0,5,1)",
        IndexError,
        "start out of range (expected to be in range of [-2, 2], but got 5)",
    ),
    (
        "x.select(0,5)",
        IndexError,
        "select(): index 5 out of range for tensor of size [2, 3] at dimension 0",
    ),
    ("x.diagonal(0,0,0)", RuntimeError, "diagonal dimensions cannot be identical 0, 0"),
    ("x.unfold(0,3,1)", RuntimeError, "maximum size for tensor at dimension 0 is 2 but size is 3"),
    ("x.unfold(0,1,0)", RuntimeError, "step is 0 but must be > 0"),
    (
        "x.as_strided((4,4),(1,1),10)",
        RuntimeError,
        "setStorage: sizes [4, 4], strides [1, 1], storage offset 10, and itemsize 4 "
        "requiring a storage size of 68 are out of bounds for storage of size 24",
    ),
    (
        "torch.ones(2,requires_grad=True).resize_(3)",
        RuntimeError,
        "cannot resize variables that require grad",
    ),
    ("torch.tensor(1.).select(0,0)", IndexError, "select() cannot be applied to a 0-dim tensor."),
    (
        "torch.tensor(1.).narrow(0,0,1)",
        RuntimeError,
        "narrow() cannot be applied to a 0-dim tensor.",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)


REGIONS = (
    (lambda b: b[0], [[5, 5, 5], [1, 1, 1]]),
    (lambda b: b[:, 1:], [[1, 5, 5], [1, 5, 5]]),
    (lambda b: b.narrow(1, 0, 2)[1], [[1, 1, 1], [5, 5, 1]]),
    (lambda b: b.diagonal(), [[5, 1, 1], [1, 5, 1]]),
    (lambda b: b.as_strided((2,), (2,)), [[5, 1, 5], [1, 1, 1]]),
    (lambda b: b.t()[2], [[1, 1, 5], [1, 1, 5]]),
    (lambda b: b.unfold(1, 2, 2)[:, 0], [[5, 5, 1], [5, 5, 1]]),
)


@pytest.mark.parametrize(("region", "expected"), REGIONS)
def test_writing_to_a_region_changes_the_history_of_its_base(region, expected):
    x = torch.ones(2, 3, requires_grad=True)
    base = x * 1
    kept = base.view(6)  # a view made before the write sees it too
    region(base).mul_(5)
    kept.sum().backward()
    assert x.grad.tolist() == expected == base.tolist()


def test_expanded_memory_is_not_written():
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        torch.ones(1, 3).expand(2, 3).add_(1)


def test_overlapping_views_add_their_gradients():
    x = torch.ones(4, requires_grad=True)
    x.as_strided((3, 2), (1, 1)).sum().backward()
    assert x.grad.tolist() == [1, 2, 2, 1]
