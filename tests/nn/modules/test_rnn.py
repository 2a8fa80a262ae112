"""Recurrent networks: forms of the input, states, packed sequences, conversion."""

import copy
import pickle

import pytest

import disttorch as torch
from disttorch import nn
from disttorch.nn.utils.rnn import pack_sequence, pad_packed_sequence, pad_sequence

KINDS = [nn.RNN, nn.GRU, nn.LSTM]


def hidden(state):
    return state[0] if isinstance(state, tuple) else state


def close(a, b):
    return torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_its_cell_repeated(kind):
    network = kind(3, 4)
    cell = getattr(nn, f"{kind.__name__}Cell")(3, 4)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in network.state_dict().items()})
    x, state = torch.randn(5, 2, 3), None
    y, last = network(x)
    for step, want in zip(x, y, strict=True):
        state = cell(step, state)
        assert close(hidden(state), want)
    assert close(hidden(last)[0], hidden(state))


@pytest.mark.parametrize("kind", KINDS)
def test_forms_of_the_input_agree(kind):
    network = kind(3, 4, 2, bidirectional=True)
    first = kind(3, 4, 2, bidirectional=True, batch_first=True)
    first.load_state_dict(network.state_dict())
    x = torch.randn(5, 2, 3)
    y, last = network(x)
    y_first, last_first = first(x.transpose(0, 1))
    assert close(y_first.transpose(0, 1), y)
    assert close(hidden(last_first), hidden(last))
    alone, last_alone = network(x[:, 0])
    assert alone.shape == (5, 8)
    assert close(alone, y[:, 0])
    assert close(hidden(last_alone), hidden(last)[:, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_are_as_if_each_ran_alone(kind):
    network = kind(3, 4, 2, bidirectional=True)
    sequences = [torch.randn(n, 3) for n in (2, 4, 3)]
    packed, last = network(pack_sequence(sequences, enforce_sorted=False))
    padded, _ = pad_packed_sequence(packed)
    for i, sequence in enumerate(sequences):
        y, own_last = network(sequence)
        assert close(padded[: len(sequence), i], y)
        assert close(hidden(last)[:, i], hidden(own_last))


def test_padding_does_not_reach_the_gradient_of_packed_sequences():
    network = nn.LSTM(3, 4)
    sequences = [torch.randn(n, 3) for n in (3, 1)]
    packed, (h, _) = network(pack_sequence(sequences))
    (packed.data.sum() + h.sum()).backward()
    grads = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    for sequence in sequences:
        y, (h, _) = network(sequence)
        (y.sum() + h.sum()).backward()
    for p, g in zip(network.parameters(), grads, strict=True):
        assert close(p.grad, g)


def test_the_state_goes_on():
    network = nn.LSTM(3, 4, 2, proj_size=2)
    x = torch.randn(6, 2, 3)
    y, last = network(x)
    _, middle = network(x[:3])
    rest, end = network(x[3:], middle)
    assert close(rest, y[3:])
    assert all(close(a, b) for a, b in zip(last, end, strict=True))
    assert [tuple(s.shape) for s in last] == [(2, 2, 2), (2, 2, 4)]


def test_dropout_between_layers_in_training_only():
    network = nn.GRU(3, 4, 2, dropout=1.0)
    x = torch.randn(5, 2, 3)
    dropped, _ = network(x)
    kept, _ = network.eval()(x)
    assert not close(dropped, kept)


def test_parameters_by_layer():
    network = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2, bias=False)
    assert [[tuple(w.shape) for w in layer] for layer in network.all_weights] == [
        *([[(16, 3), (16, 2), (2, 4)]] * 2),
        *([[(16, 4), (16, 2), (2, 4)]] * 2),
    ]
    assert network._flat_weights_names[:3] == ["weight_ih_l0", "weight_hh_l0", "weight_hr_l0"]
    network.flatten_parameters()


def test_conversion_copies_and_pickles_keep_working():
    network = nn.LSTM(3, 4).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    want, _ = network(x)
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert close(twin(x)[0], want)


def test_a_single_layer_has_nothing_to_drop():
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.LSTM(3, 4, dropout=0.5)


def test_padded_batches_differ_from_packed_ones_in_the_last_state_only():
    network = nn.GRU(3, 4)
    sequences = [torch.randn(n, 3) for n in (3, 2)]
    padded, _ = network(pad_sequence(sequences))
    packed, last = network(pack_sequence(sequences))
    unpacked, _ = pad_packed_sequence(packed)
    assert close(padded[:2], unpacked[:2])
    assert close(last[0, 1], unpacked[1, 1])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "proj_size has to be smaller"),
        (lambda: nn.GRU(3, 4, proj_size=1), ValueError, "only supported for LSTM"),
        (lambda: nn.RNN(3, 4, nonlinearity="elu"), ValueError, "Unknown nonlinearity"),
        (lambda: nn.RNNBase("SRU", 3, 4), ValueError, "Unrecognized RNN mode: SRU"),
        (lambda: nn.LSTM(3, 4, bias=1), TypeError, "bias should be of type bool, got: int"),
        (lambda: nn.LSTM(3, 4)(torch.ones(2, 2, 5)), RuntimeError, "Expected 3, got 5"),
        (lambda: nn.LSTM(3, 4)(torch.ones(3)), ValueError, "2D or 3D, got 1D instead"),
        (lambda: nn.LSTMCell(3, 4)(torch.ones(2, 5)), RuntimeError, "got 5 expected 3"),
    ],
)
def test_refuses(make, error, text):
    with pytest.raises(error, match=text):
        make()
