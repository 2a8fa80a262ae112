"""``x[index]`` and ``x[index] = value`` in every form.

Expected results are those of PyTorch 2.13.
"""

import numpy as np
import pytest

import disttorch as torch

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    ("x[1]", "float32", [3.0, 4.0, 5.0]),
    ("x[-1,1:]", "float32", [4.0, 5.0]),
    ("x[...,0]", "float32", [0.0, 3.0]),
    ("x[:,None].shape", None, (2, 1, 3)),
    ("x[None,...,None].shape", None, (1, 2, 3, 1)),
    ("x[::2,1:3]", "float32", [[1.0, 2.0]]),
    ("x[0,1]", "float32", 1.0),
    ("x[[1,0]]", "float32", [[3.0, 4.0, 5.0], [0.0, 1.0, 2.0]]),
    ("x[[0,1],[2,0]]", "float32", [2.0, 3.0]),
    ("x[:,[2,0]]", "float32", [[2.0, 0.0], [5.0, 3.0]]),
    ("x[torch.tensor([[0],[1]]),torch.tensor([0,2])]", "float32", [[0.0, 2.0], [3.0, 5.0]]),
    ("x[torch.tensor(1)]", "float32", [3.0, 4.0, 5.0]),
    ("x[np.array([1])]", "float32", [[3.0, 4.0, 5.0]]),
    ("x[np.int64(1)]", "float32", [3.0, 4.0, 5.0]),
    ("x[range(2)].shape", None, (2, 3)),
    ("x[[True,False]]", "float32", [[0.0, 1.0, 2.0]]),
    ("x[torch.tensor([[True,False,True],[False,True,False]])]", "float32", [0.0, 2.0, 4.0]),
    ("x[:,torch.tensor([True,False,True])]", "float32", [[0.0, 2.0], [3.0, 5.0]]),
    ("x[True].shape", None, (1, 2, 3)),
    ("x[False].shape", None, (0, 2, 3)),
    ("x[torch.tensor(True)].shape", None, (1, 2, 3)),
    ("x[[]].shape", None, (0, 3)),
    ("x[()].shape", None, (2, 3)),
    ("x[3:].shape", None, (0, 3)),
    ("x[slice(torch.tensor(1),None)]", "float32", [[3.0, 4.0, 5.0]]),
    ("torch.tensor(5.)[...]", "float32", 5.0),
    ("torch.tensor(5.)[None]", "float32", [5.0]),
    ("torch.zeros(2,3,4)[0,:,[0,1]].shape", None, (3, 2)),
    ("torch.zeros(2,3,4)[:,0,[0,1]].shape", None, (2, 2)),
    ("torch.zeros(2,3,4)[[0],:,[0,1]].shape", None, (2, 3)),
    ("torch.zeros(2,3,4)[[0],None,[0,1]].shape", None, (2, 1, 4)),
    ("torch.zeros(2,3,4)[:,torch.ones(3,4).bool()].shape", None, (2, 12)),
    ("torch.zeros(2,3,4)[[0],torch.ones(3).bool()].shape", None, (3, 4)),
    ("torch.zeros(2,3,4)[True,[0]].shape", None, (1, 3, 4)),
    ("torch.zeros(2,3,4)[:,[0,1]].is_contiguous()", None, True),
    ("torch.zeros(2,3,4)[:,torch.tensor([True,False,True])].is_contiguous()", None, True),
    (
        "x.index_put((torch.tensor([0,0]),torch.tensor([1,1])),torch.tensor([5.,6.]),accu"
        "mulate=True)",
        "float32",
        [[0.0, 12.0, 2.0], [3.0, 4.0, 5.0]],
    ),
)

ERRORS = (
    (
        "x[torch.tensor([0],dtype=torch.int8)]",
        IndexError,
        "tensors used as indices must be long, int, byte or bool tensors",
    ),
    (
        "x[:,torch.tensor([0],dtype=torch.int16)]",
        IndexError,
        "tensors used as indices must be long, int, byte or bool tensors",
    ),
    ("x[5]", IndexError, "index 5 is out of bounds for dimension 0 with size 2"),
    ("x[-4]", IndexError, "index -4 is out of bounds for dimension 0 with size 2"),
    ("x[0,5]", IndexError, "index 5 is out of bounds for dimension 1 with size 3"),
    ("x[0,0,0]", IndexError, "too many indices for tensor of dimension 2"),
    ("x[[5]]", IndexError, "index 5 is out of bounds for dimension 0 with size 2"),
    (
        "x[torch.tensor([[-3]])]",
        IndexError,
        "index -3 is out of bounds for dimension 0 with size 2",
    ),
    ("x[:,[9]]", IndexError, "index 9 is out of bounds for dimension 0 with size 3"),
    (
        "x[[0,1],[0,1,2]]",
        IndexError,
        "shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]",
    ),
    (
        "x[torch.tensor([1.])]",
        IndexError,
        "tensors used as indices must be long, int, byte or bool tensors",
    ),
    (
        "x[1.0]",
        IndexError,
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables "
        "are valid indices (got float)",
    ),
    ("x[::-1]", ValueError, "step must be greater than zero"),
    ("x[0:2.5]", TypeError, "slice indices must be integers or None or have an __index__ method"),
    (
        "torch.tensor(1.)[0]",
        IndexError,
        "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
        "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number",
    ),
    (
        "x[torch.tensor([True,False,True])]",
        IndexError,
        "The shape of the mask [3] at index 0 does not match the shape of the indexed "
        "tensor [2, 3] at index 0",
    ),
    (
        "x[:,torch.tensor([True,False])]",
        IndexError,
        "The shape of the mask [2] at index 0 does not match the shape of the indexed "
        "tensor [2, 3] at index 1",
    ),
    (
        "x.__setitem__(0, torch.ones(4))",
        RuntimeError,
        "The expanded size of the tensor (3) must match the existing size (4) at "
        "non-singleton dimension 0.  Target sizes: [3].  Tensor sizes: [4]",
    ),
    (
        "x.__setitem__([0,1], torch.ones(4))",
        RuntimeError,
        "shape mismatch: value tensor of shape [4] cannot be broadcast to indexing result "
        "of shape [2, 3]",
    ),
    (
        "x.__setitem__(x.bool(), torch.ones(4))",
        RuntimeError,
        "shape mismatch: value tensor of shape [4] cannot be broadcast to indexing result "
        "of shape [5]",
    ),
    ("x.__setitem__(5, 1)", IndexError, "index 5 is out of bounds for dimension 0 with size 2"),
    ("x.__setitem__([5], 1)", IndexError, "index 5 is out of bounds for dimension 0 with size 2"),
    (
        "x.__setitem__(torch.tensor([0, 5]), 1.)",
        IndexError,
        "index 5 is out of bounds for dimension 0 with size 2",
    ),
    (
        "torch.ones(2,requires_grad=True).__setitem__(torch.tensor([0]), 1)",
        RuntimeError,
        "a leaf Variable that requires grad is being used in an in-place operation.",
    ),
    (
        "torch.ones(2,requires_grad=True)[:].__setitem__(torch.tensor([0]), 1)",
        RuntimeError,
        "a view of a leaf Variable that requires grad is being used in an in-place operation.",
    ),
    ("x.__setitem__(0, [1,2,3])", TypeError, "can't assign a list to a torch.FloatTensor"),
    (
        "x.__setitem__(0, np.ones(3))",
        TypeError,
        "can't assign a numpy.ndarray to a torch.FloatTensor",
    ),
    ("x.__setitem__(0, 'a')", TypeError, "can't assign a str to a torch.FloatTensor"),
    (
        "x.byte().__setitem__(0, 300)",
        RuntimeError,
        "value cannot be converted to type uint8_t without overflow",
    ),
    (
        "x.__setitem__(0, 1j)",
        RuntimeError,
        "value cannot be converted to type float without overflow",
    ),
    (
        "torch.ones(2,requires_grad=True).__setitem__(0,1)",
        RuntimeError,
        "a view of a leaf Variable that requires grad is being used in an in-place operation.",
    ),
    (
        "x.index_put((torch.tensor([5]),),torch.tensor(1.))",
        IndexError,
        "index 5 is out of bounds for dimension 0 with size 2",
    ),
    (
        "x.index_put((torch.tensor([0]),),torch.tensor(1))",
        RuntimeError,
        "Index put requires the source and destination dtypes match, got Float for the "
        "destination and Long for the source.",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)


@pytest.mark.parametrize("places", [[0, 2], [True, False, True], [-3, -1]])
@pytest.mark.parametrize("value", [7, 7.0])
def test_numbers_written_where_an_index_says_are_seen_by_the_history(places, value):
    base = torch.ones(3, 2)
    w = torch.ones(3, 2, requires_grad=True)
    product = w * base
    base[:][torch.tensor(places)] = value
    assert base.tolist() == [[7, 7], [1, 1], [7, 7]] and base._version == 1
    with pytest.raises(RuntimeError, match="is at version 1; expected version 0"):
        product.sum().backward()
    x = w * 2
    x[torch.tensor(places)] = value
    x.sum().backward()
    assert w.grad.tolist() == [[0, 0], [2, 2], [0, 0]]


SHAPE = (3, 4, 5)
MASK = np.arange(12).reshape(3, 4) % 3 == 0
# Indices that NumPy and PyTorch read alike.
FORMS = (
    *(0, -1, (1, 2), (1, 2, 3), slice(1, 3), (slice(None), slice(0, 4, 2)), (Ellipsis, 1), None),
    *((slice(None), None, 1), (), [0, 2], ([0, 2], [1, 1]), ([-1, -3], slice(1, 3))),
    *((np.array([[0, 1], [2, 2]]),), (slice(None), [1, 1, 0]), ([0, 1], slice(None), [2, 4])),
    *((np.array([[0], [1]]), np.array([1, 3])), (Ellipsis, [1, 3, 1]), ([0, 1], None, [1, 3])),
    *(MASK, (slice(None), MASK[0]), (MASK[:, 0], [1]), np.arange(60).reshape(SHAPE) % 7 == 0),
    *(slice(3, 1), np.zeros(0, np.int64), np.array([0, 1], np.int32)),
)


def converted(index):
    """The same index with tensors in place of arrays."""
    if isinstance(index, tuple):
        return tuple(converted(i) for i in index)
    return torch.from_numpy(index) if isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("index", FORMS, ids=str)
def test_reading_and_its_gradient(index):
    host = np.random.RandomState(0).rand(*SHAPE)
    x = torch.tensor(host, requires_grad=True)
    read = (x * x)[converted(index)]
    expected = (host * host)[index]
    np.testing.assert_array_equal(read.detach().numpy(), expected)
    weights = np.cos(np.arange(expected.size)).reshape(expected.shape)
    (read * torch.tensor(weights)).sum().backward()
    gradient = np.zeros(SHAPE)
    np.add.at(gradient, index, weights)
    np.testing.assert_allclose(x.grad.numpy(), gradient * 2 * host)


@pytest.mark.parametrize("recorded", (False, True))
@pytest.mark.parametrize("index", FORMS, ids=str)
def test_writing_and_its_gradient(index, recorded):
    # Indices that name a place twice leave it open which value stays: all values are equal here.
    host = np.random.RandomState(0).rand(*SHAPE)
    expected = host.copy()
    expected[index] = 2.5
    x = torch.tensor(host, requires_grad=recorded)
    value = torch.tensor(2.5, dtype=torch.float64)
    written = x * 1
    written[converted(index)] = value
    np.testing.assert_array_equal(written.detach().numpy(), expected)
    if recorded:
        written.sum().backward()
        expected[index] = 0
        np.testing.assert_array_equal(x.grad.numpy(), expected != 0)


def test_the_gradient_of_a_written_value():
    value = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for index in (0, [0, 1], torch.tensor([True, False])):
        x = torch.zeros(2, 3)
        x[index] = value
        (x * x).sum().backward()
    # Written once by the first and the last index, twice by the second.
    assert value.grad.tolist() == [8, 16, 24]


def test_basic_indices_are_views_and_others_copies():
    x = torch.zeros(2, 3)
    views = [x[0], x[:, 1:], x[..., None], x[None], x[()]]
    copies = [x[[0]], x[torch.tensor([0])], x[x == 0]]
    x.fill_(1)
    assert all(bool((v == 1).all()) for v in views)
    assert not any(bool(c.any()) for c in copies)


def test_an_index_modified_before_backward_is_noticed():
    x = torch.ones(3, requires_grad=True)
    index = torch.tensor([0, 1])
    y = x[index].sum()
    index.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_memory_shared_in_part_is_not_read_while_it_is_written():
    x = torch.arange(4.0)
    with pytest.raises(RuntimeError, match="some elements of the input tensor"):
        x[1:] = x[:-1]
    with pytest.raises(RuntimeError, match="some elements of the input tensor"):
        x[1:] += x[:-1]
    x[:2] = x[2:]
    x[::2] += x[1::2]
    assert x.tolist() == [5, 3, 5, 3]


def test_legacy_sequences_warn():
    x = torch.zeros(2, 3)
    with pytest.warns(UserWarning, match="Using a non-tuple sequence"):
        assert x[[slice(0, 1), slice(0, 2)]].shape == (1, 2)
    with pytest.warns(UserWarning, match="torch.uint8 is now deprecated"):
        assert x[torch.tensor([1, 0], dtype=torch.uint8)].shape == (1, 3)
