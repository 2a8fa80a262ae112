"""Packing and padding of sequences."""

import pytest

import disttorch as torch
from disttorch.nn.utils import rnn


def sequences(*lengths):
    return [torch.arange(n).float() + 10 * i for i, n in enumerate(lengths)]


def lists(tensors):
    return [t.tolist() for t in tensors]


def test_packed_steps_lie_behind_one_another():
    packed = rnn.pack_sequence(sequences(3, 2, 1))
    assert packed.data.tolist() == [0, 10, 20, 1, 11, 2]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices is None


@pytest.mark.parametrize("lengths", [(3, 2, 1), (1, 3, 2), (2, 2), (1,)])
def test_unpacking_gives_back_the_users_order(lengths):
    given = sequences(*lengths)
    packed = rnn.pack_sequence(given, enforce_sorted=False)
    assert lists(rnn.unpack_sequence(packed)) == lists(given)
    padded, n = rnn.pad_packed_sequence(packed, batch_first=True, padding_value=-1)
    assert n.tolist() == list(lengths)
    assert lists(rnn.unpad_sequence(padded, n, batch_first=True)) == lists(given)


@pytest.mark.parametrize(
    ("side", "want"), [("right", [[0, 1, 2], [10, -1, -1]]), ("left", [[0, 1, 2], [-1, -1, 10]])]
)
def test_padding_on_either_side(side, want):
    padded = rnn.pad_sequence(sequences(3, 1), True, -1, side)
    assert padded.tolist() == want
    assert rnn.pad_sequence(sequences(3, 1), False, -1, side).T.tolist() == want


def test_total_length_pads_further():
    packed = rnn.pack_sequence(sequences(2, 1))
    padded, lengths = rnn.pad_packed_sequence(packed, True, total_length=4)
    assert padded.tolist() == [[0, 1, 0, 0], [10, 0, 0, 0]]
    assert lengths.tolist() == [2, 1]
    with pytest.raises(ValueError, match="total_length=1 and max sequence length being 2"):
        rnn.pad_packed_sequence(packed, total_length=1)


def test_gradients_pass_through_padding():
    given = [t.requires_grad_() for t in sequences(2, 3)]
    packed = rnn.pack_sequence(given, enforce_sorted=False)
    padded, _ = rnn.pad_packed_sequence(packed)
    (padded * padded).sum().backward()
    for t in given:
        assert t.grad.tolist() == (2 * t).tolist()


def test_conversion_moves_the_data_only():
    packed = rnn.pack_sequence(sequences(1, 2), enforce_sorted=False)
    double = packed.double()
    assert double.data.dtype is torch.float64
    assert double.unsorted_indices.tolist() == [1, 0]
    assert packed.to(torch.float32) is packed
    assert packed.cpu() is packed
    assert not packed.is_cuda


def test_the_parts_may_come_as_a_pair():
    packed = rnn.PackedSequence((torch.ones(2), torch.tensor([1, 1])))
    assert packed.batch_sizes.tolist() == [1, 1]
    with pytest.raises(AssertionError, match="list or tuple of length 2"):
        rnn.PackedSequence(torch.ones(3))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: rnn.pack_padded_sequence(torch.ones(3, 2), [1, 3]), RuntimeError, "decreasing"),
        (
            lambda: rnn.pack_padded_sequence(torch.ones(3, 2), [3, 0]),
            RuntimeError,
            "greater than 0",
        ),
        (lambda: rnn.pack_padded_sequence(torch.ones(3, 2), [4, 1]), RuntimeError, "exceeds"),
        (lambda: rnn.pack_padded_sequence(torch.ones(3, 2), [3]), RuntimeError, "batch_size=2"),
        (lambda: rnn.pack_padded_sequence(torch.ones(0, 2), [1, 1]), RuntimeError, "empty"),
        (lambda: rnn.pad_sequence(3), RuntimeError, "Expected iterable"),
        (lambda: rnn.pad_sequence([]), RuntimeError, "empty list"),
        (lambda: rnn.pad_sequence(sequences(1), padding_side="top"), RuntimeError, "padding_side"),
    ],
)
def test_refuses(call, error, text):
    with pytest.raises(error, match=text):
        call()
