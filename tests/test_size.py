"""Size: a tuple of ints that knows what it is."""

import copy
import pickle

import pytest

import disttorch as torch


def test_a_size_is_a_tuple():
    size = torch.Size([2, torch.tensor(3), 4])
    assert size == (2, 3, 4) and hash(size) == hash((2, 3, 4)) and size.numel() == 24
    assert repr(size) == str(size) == "torch.Size([2, 3, 4])"
    assert all(type(n) is int for n in size)
    assert torch.Size() == () and torch.Size().numel() == 1


def test_what_comes_of_a_size_is_one_again():
    size = torch.Size((2, 3))
    before = torch.Size.__radd__(size, (4,))
    assert before == (4, 2, 3)
    added = (torch.Size.__add__(size, (4,)), before)
    for derived in (size[:1], *added, size * 2, 2 * size, size[::-1]):
        assert isinstance(derived, torch.Size)
    assert copy.deepcopy(size) == pickle.loads(pickle.dumps(size)) == size
    assert isinstance(pickle.loads(pickle.dumps(size)), torch.Size)
    first, last = size
    assert (first, last) == (2, 3) and type(size[0]) is int


@pytest.mark.parametrize(
    ("given", "text"),
    (
        ([1.5], "torch.Size() takes an iterable of 'int' (item 0 is 'float')"),
        ([2, "a"], "torch.Size() takes an iterable of 'int' (item 1 is 'str')"),
        (3, "'int' object is not iterable"),
    ),
)
def test_errors(given, text):
    with pytest.raises(TypeError) as caught:
        torch.Size(given)
    assert str(caught.value) == text
