"""What autocast replaces while it is on, and that nothing is left of it afterwards."""

import threading
from importlib import import_module

import pytest

import disttorch
from disttorch.amp import casting
from disttorch.nn import functional as F


def everything():
    """All attributes that autocast may replace."""
    owners = (disttorch, F, disttorch.Tensor, disttorch.linalg, disttorch.fft)
    owners += casting._LOWER_OPS + tuple(import_module(room) for room in casting._ROOMS)
    return [(owner, dict(vars(owner))) for owner in owners]


def test_nothing_stays_behind():
    with disttorch.autocast("cpu"):
        pass  # loads what is loaded lazily
    before = everything()
    with disttorch.autocast("cpu"), disttorch.autocast("cpu", enabled=False):
        pass
    with pytest.raises(KeyError), disttorch.autocast("cpu"):
        raise KeyError
    for (_, then), (_, now) in zip(before, everything(), strict=True):
        assert then == now


def test_two_threads_at_once():
    """The one that leaves first does not take autocast away from the other."""
    inside, left = threading.Event(), threading.Event()
    seen = []

    def other():
        with disttorch.autocast("cpu"):
            inside.set()
            left.wait(10)
            seen.append((disttorch.ones(1, 1) @ disttorch.ones(1, 1)).dtype)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    with disttorch.autocast("cpu"):
        seen.append((disttorch.ones(1, 1) @ disttorch.ones(1, 1)).dtype)
    seen.append((disttorch.ones(1, 1) @ disttorch.ones(1, 1)).dtype)
    left.set()
    thread.join()
    assert seen == [disttorch.bfloat16, disttorch.float32, disttorch.bfloat16]


def test_gradients_have_the_parameters_dtype():
    linear = disttorch.nn.Linear(3, 2)
    with disttorch.autocast("cpu"):
        out = linear(disttorch.ones(1, 3))
        loss = F.mse_loss(out, disttorch.zeros(1, 2))
    assert (out.dtype, loss.dtype) == (disttorch.bfloat16, disttorch.float32)
    loss.backward()
    assert linear.weight.grad.dtype is disttorch.float32


def test_casts_are_forgotten_at_the_end():
    w = disttorch.ones(2, 2).requires_grad_()
    with disttorch.autocast("cpu"):
        before = (disttorch.ones(1, 2) @ w).tolist()
        with disttorch.no_grad():
            w.mul_(2)
    with disttorch.autocast("cpu"):
        assert (disttorch.ones(1, 2) @ w).tolist() != before


nn = disttorch.nn
taken_before = F.conv1d
NARROW, FLOAT32 = disttorch.bfloat16, disttorch.float32
# Module, number of inputs, the dtype of its (first) output under autocast on the CPU.
LAYERS = [
    (lambda: nn.MultiheadAttention(4, 2), 3, NARROW),
    (lambda: nn.MultiheadAttention(4, 2, kdim=4, vdim=4, add_bias_kv=True), 3, NARROW),
    (lambda: nn.TransformerEncoderLayer(4, 2, 8), 1, FLOAT32),
    (lambda: nn.TransformerDecoderLayer(4, 2, 8), 2, FLOAT32),
    (lambda: nn.LSTM(4, 3, 2, bidirectional=True), 1, NARROW),
    (lambda: nn.RNN(4, 3, 2, bidirectional=True), 1, NARROW),
    (lambda: nn.GRU(4, 3, 2, bidirectional=True), 1, FLOAT32),
    (lambda: nn.LSTMCell(4, 3), 1, FLOAT32),
    (lambda: nn.Bilinear(4, 4, 2), 2, FLOAT32),
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make, n_inputs, dtype", LAYERS)
def test_layers_made_of_products(make, n_inputs, dtype, training):
    layer = make().train(training)
    x = disttorch.randn(2, 4) if type(layer) is nn.LSTMCell else disttorch.randn(3, 2, 4)
    x.requires_grad_()
    with disttorch.autocast("cpu"):
        y = layer(*(x,) * n_inputs)
    y = y[0] if isinstance(y, tuple) else y
    assert y.dtype is dtype
    y.sum().backward()
    assert x.grad.dtype is FLOAT32
    assert all(p.grad is None or p.grad.dtype is FLOAT32 for p in layer.parameters())


@pytest.mark.parametrize(
    "product",
    [
        lambda a, b: a @ b,
        disttorch.matmul,
        disttorch.mm,
        lambda a, b: a.mm(b),
        lambda a, b: disttorch.einsum("ij,jk->ik", a, b),
        lambda a, b: disttorch.bmm(a[None], b[None]),
        lambda a, b: disttorch.addmm(b, a, b),
        F.linear,
        lambda a, b: taken_before(a[None], b[..., None]),
    ],
)
def test_products_of_two_dtypes(product):
    a, b = disttorch.ones(3, 3), disttorch.ones(3, 3).bfloat16()
    with disttorch.autocast("cpu"):
        assert product(a, b).dtype is product(b, a).dtype is NARROW
