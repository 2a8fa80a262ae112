"""Recurrent operators: what the table of operators does not show."""

import pytest

import disttorch as torch


def weights(*shapes):
    return [torch.randn(*s) for s in shapes]


def test_saved_gates_are_freed_with_the_graph():
    x, h = torch.randn(3, 2, 4, requires_grad=True), torch.zeros(1, 2, 5)
    y, _ = torch.rnn_tanh(x, h, weights((5, 4), (5, 5)), False, 1, 0.0, True, False, False)
    y.sum().backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.sum().backward()


def test_changing_an_input_is_noticed():
    x, h = torch.randn(3, 2, 4), torch.zeros(1, 2, 5)
    w = [t.requires_grad_() for t in weights((15, 4), (15, 5))]
    y, _ = torch.gru(x, h, w, False, 1, 0.0, True, False, False)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_changing_the_output_does_not_change_gradients():
    x, h = torch.randn(3, 2, 4), torch.zeros(1, 2, 5)
    w = [t.requires_grad_() for t in weights((5, 4), (5, 5))]

    def grads(after):
        y, _ = torch.rnn_relu(x, h, w, False, 1, 0.0, True, False, False)
        total = y.sum()
        after(y)
        return torch.autograd.grad(total, w)

    def overwrite(y):
        with torch.no_grad():
            y.zero_()

    for a, b in zip(grads(lambda y: None), grads(overwrite), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: torch.gru(
                torch.ones(2, 1, 3), torch.ones(1, 1, 4), [], True, 1, 0.0, *[False] * 3
            ),
            "incorrect number of RNN parameters",
        ),
        (
            lambda: torch.rnn_tanh(
                *(torch.ones(0, 1, 3), torch.ones(1, 1, 4), weights((4, 3), (4, 4)), False),
                *(1, 0.0, False, False, False),
            ),
            "Expected sequence length to be larger than 0 in RNN",
        ),
        (
            lambda: torch.gru_cell(torch.ones(2, 3), torch.ones(1, 4), *weights((12, 3), (12, 4))),
            "Input batch size 2 doesn't match hidden0 batch size 1",
        ),
        (
            lambda: torch.rnn_tanh_cell(
                torch.ones(2, 3), torch.ones(2, 5), *weights((4, 3), (4, 4))
            ),
            "hidden0 has inconsistent hidden_size: got 5, expected 4",
        ),
    ],
)
def test_refuses(call, text):
    with pytest.raises(RuntimeError, match=text):
        call()


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bias", [True, False])
def test_short_floats_stay_what_they_are(name, dtype, bias):
    torch.manual_seed(0)
    layer = getattr(torch.nn, name)(3, 5, num_layers=2, bias=bias, bidirectional=True)
    x = torch.randn(4, 2, 3)
    expected, _ = layer(x)
    y, state = layer.to(dtype)(x.to(dtype))
    assert y.dtype == (state[0] if name == "LSTM" else state).dtype == dtype
    assert (y.float() - expected).abs().max() < 2e-2
    y.sum().backward()
    assert all(p.grad.dtype == dtype for p in layer.parameters())
