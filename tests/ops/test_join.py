"""Joining tensors and taking them apart.

Expected results are those of PyTorch 2.13.
"""

import pytest

import disttorch as torch

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("torch.cat([x,x.long()]).dtype == torch.float32", None, True),
    ("torch.cat([x, torch.zeros(0)])", "float32", [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
    ("torch.cat([x,x],1,out=torch.empty(0)).shape", None, (2, 6)),
    (
        "torch.cat([torch.zeros(2,3,4,5).to(memory_format=torch.channels_last)]*2,1).stride()",
        None,
        (120, 1, 30, 6),
    ),
    ("torch.cat([x.t(),x.t()]).stride()", None, (2, 1)),
    ("torch.stack([torch.tensor(1),torch.tensor(2)])", "int64", [1, 2]),
    ("torch.stack([x,x.long()]).dtype == torch.float32", None, True),
    ("torch.hstack([torch.tensor(1),torch.tensor(2)])", "int64", [1, 2]),
    ("torch.chunk(torch.arange(5),4)", "int64", [[0, 1], [2, 3], [4]]),
    ("torch.chunk(torch.arange(7),3)", "int64", [[0, 1, 2], [3, 4, 5], [6]]),
    ("torch.zeros(0).chunk(2)", "float32", [[], []]),
    ("torch.zeros(0).split(2)", "float32", [[]]),
    ("torch.tensor_split(torch.arange(7),3)", "int64", [[0, 1, 2], [3, 4], [5, 6]]),
    ("torch.tensor_split(torch.arange(7),(2,5))", "int64", [[0, 1], [2, 3, 4], [5, 6]]),
    ("torch.tensor_split(torch.arange(7),(5,2))", "int64", [[0, 1, 2, 3, 4], [], [2, 3, 4, 5, 6]]),
    ("x.split([1,2],1)", "float32", [[[0.0], [3.0]], [[1.0, 2.0], [4.0, 5.0]]]),
    ("x.unbind(1)", "float32", [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]),
)

ERRORS = (
    ("torch.cat([])", ValueError, "torch.cat(): expected a non-empty list of Tensors"),
    (
        "torch.cat([x, torch.ones(3,3)],1)",
        RuntimeError,
        "Sizes of tensors must match except in dimension 1. Expected size 2 but got size 3 "
        "for tensor number 1 in the list.",
    ),
    (
        "torch.cat([x, torch.ones(3)],0)",
        RuntimeError,
        "Tensors must have same number of dimensions: got 2 and 1",
    ),
    (
        "torch.cat([torch.tensor(1)],0)",
        RuntimeError,
        "zero-dimensional tensor (at position 0) cannot be concatenated",
    ),
    ("torch.cat([x,3])", TypeError, "expected Tensor as element 1 in argument 0, but got int"),
    (
        "torch.cat(x)",
        TypeError,
        "cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor",
    ),
    ("torch.stack([])", RuntimeError, "stack expects a non-empty TensorList"),
    (
        "torch.stack([x, torch.ones(3)])",
        RuntimeError,
        "stack expects each tensor to be equal size, but got [2, 3] at entry 0 and [3] at entry 1",
    ),
    (
        "torch.stack([x,x],4)",
        IndexError,
        "Dimension out of range (expected to be in range of [-3, 2], but got 4)",
    ),
    ("torch.hstack([])", RuntimeError, "hstack expects a non-empty TensorList"),
    (
        "x.split(0)",
        RuntimeError,
        "split_size can only be 0 if dimension size is 0, but got dimension size of 2",
    ),
    (
        "x.split([1,1],1)",
        RuntimeError,
        "split_with_sizes expects split_sizes to sum exactly to 3 (input tensor's size at "
        "dimension 1), but got split_sizes=[1, 1]",
    ),
    (
        "x.split([-1,4],1)",
        RuntimeError,
        "split_with_sizes expects split_sizes have only non-negative entries, but got "
        "split_sizes=[-1, 4]",
    ),
    ("x.chunk(0)", RuntimeError, "chunk expects `chunks` to be greater than 0, got: 0"),
    ("x.tensor_split(0)", RuntimeError, "number of sections must be larger than 0, got 0"),
    (
        "torch.dsplit(x,2)",
        RuntimeError,
        "torch.dsplit requires a tensor with at least 3 dimension, but got a tensor with 2 "
        "dimensions!",
    ),
    (
        "torch.hsplit(x,2)",
        RuntimeError,
        "torch.hsplit attempted to split along dimension 1, but the size of the dimension "
        "3 is not divisible by the split_size 2!",
    ),
    ("torch.tensor(1).split(1)", RuntimeError, "split expects at least a 1-dimensional tensor"),
    (
        "torch.unbind(torch.tensor(1))",
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


@pytest.mark.parametrize(
    ("take_apart", "name"),
    (
        (lambda x: x.unbind(), "Unbind"),
        (lambda x: x.split(1), "Split"),
        (lambda x: x.chunk(2), "Split"),
        (lambda x: x[:1].unbind(), "Unbind"),
    ),
)
def test_parts_with_history_are_not_written(take_apart, name):
    x = torch.ones(2, 3, requires_grad=True) * 1
    for part in (take_apart(x)[0], take_apart(x)[0][1:]):
        with pytest.raises(RuntimeError, match=f"Output 0 of {name} is a view and is being"):
            part.mul_(2)
    assert x.sum().item() == 6


def test_parts_without_history_are_views():
    x = torch.ones(2, 3)
    x.unbind(1)[0].mul_(5)
    x.split(1)[1].add_(1)
    assert x.tolist() == [[5, 1, 1], [6, 2, 2]]


def test_one_unused_part_has_zero_gradient():
    x = torch.ones(4, requires_grad=True)
    first, _ = x.split(2)
    (first * 3).sum().backward()
    assert x.grad.tolist() == [3, 3, 0, 0]
