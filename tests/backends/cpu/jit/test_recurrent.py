"""Steps of recurrent layers by kernels against the same layers on NumPy."""

import numpy as np
import pytest

import disttorch as torch
from disttorch.backends.cpu.jit import recurrent

pytest.importorskip("numba", reason="the `fast` extra is not installed")


@pytest.mark.parametrize("proj_size", [0, 24])
@pytest.mark.parametrize("lengths", [(5, 5, 5), (6, 3, 1)])
def test_lstm(monkeypatch, proj_size, lengths):
    torch.manual_seed(0)
    model = torch.nn.LSTM(16, 128, num_layers=2, bidirectional=True, proj_size=proj_size)
    x = torch.randn(max(lengths), 3, 16, requires_grad=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths))
    found = []
    for wanted in (False, True):
        asked = []
        monkeypatch.setattr(recurrent, "_SMALL", 1)
        monkeypatch.setattr(
            recurrent, "pays", lambda *a, asked=asked, wanted=wanted: asked.append(a) or wanted
        )
        y, (h, c) = model(packed)
        (y.data.tanh().sum() + h.exp().sum() + c.square().sum()).backward()
        grads = [p.grad for p in (x, *model.parameters())]
        found.append([t.detach().numpy().copy() for t in (y.data, h, c, *grads)])
        for p in (x, *model.parameters()):
            p.grad = None
        assert asked, "no kernel was asked for"
    for plain, by_kernel in zip(*found, strict=True):
        np.testing.assert_allclose(by_kernel, plain, rtol=1e-4, atol=1e-5)
