"""Depthwise convolution equals one ordinary convolution a channel, whatever the blocks."""

import numpy as np
import pytest

from disttorch.backends.cpu import conv, conv_depthwise
from disttorch.backends.window import Window

WINDOWS = [
    Window((3, 2), (2, 1), (1, 0), (1, 2)),
    Window((3, 3), (1, 1), (1, 1), (1, 1)),
    Window((2, 1), (3, 2), (0, 0), (2, 1)),
]


def three(x, w, gy, window, groups):
    y = conv.conv_forward(x, w, None, window, groups)
    gx = conv.conv_backward_input(gy, w, x.shape[2:], window, groups)
    return y, gx, conv.conv_backward_weight(x, gy, window, groups)


@pytest.mark.parametrize("block", [1, 100, 1 << 15])
@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("window", WINDOWS)
def test_is_a_convolution_for_each_channel(monkeypatch, window, multiplier, block):
    monkeypatch.setattr(conv_depthwise, "_BLOCK", block)
    c, m = 3, multiplier
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, c, 7, 6))
    w = rng.standard_normal((c * m, 1, *window.kernel))
    gy = rng.standard_normal((2, c * m, *window.outputs((7, 6))))
    y, gx, gw = three(x, w, gy, window, c)
    for i in range(c):
        outs = slice(i * m, i * m + m)
        expected = three(x[:, i : i + 1], w[outs], gy[:, outs], window, 1)
        actual = y[:, outs], gx[:, i : i + 1], gw[outs]
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
