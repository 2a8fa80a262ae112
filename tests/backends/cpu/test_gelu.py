"""gelu of large float32 arrays is what the formula with erf gives, blocks and extremes included."""

import math

import numpy as np
import pytest

from disttorch.backends.cpu import gelu
from disttorch.backends.cpu.numpy_backend import CPU


@pytest.mark.parametrize("block", [7, 1000, 1 << 15])
def test_value_and_slope(monkeypatch, block):
    monkeypatch.setattr(gelu, "_BLOCK", block)
    x = np.linspace(-9, 9, 3001, dtype="float32").reshape(3001, 1)
    wide = x.astype("float64")
    below = 0.5 * np.vectorize(math.erf)(wide / math.sqrt(2)) + 0.5
    density = np.exp(-0.5 * wide * wide) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(gelu.gelu(x), wide * below, rtol=1e-6, atol=5e-7)
    np.testing.assert_allclose(gelu.gelu_slope(x), below + wide * density, rtol=1e-6, atol=5e-7)


def test_extremes_are_those_of_the_formula():
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 1e-30], "float32")
    for mine, formula in ((gelu.gelu, CPU.gelu), (gelu.gelu_slope, CPU.gelu_slope)):
        np.testing.assert_array_equal(mine(x), formula(x))


def test_is_for_large_float32():
    assert gelu.fits(np.zeros(5000, "float32"))
    assert not gelu.fits(np.zeros(5000, "float64"))
    assert not gelu.fits(np.zeros(50, "float32"))
