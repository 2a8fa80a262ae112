"""Normalisation kernels: layouts agree, blocks agree, 16-bit floats are summed in 32."""

import numpy as np
import pytest

from disttorch.backends.cpu import norm


def images(seed=0, dtype="float64"):
    return (np.random.default_rng(seed).standard_normal((3, 4, 5, 2)) * 2 + 1).astype(dtype)


def last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def test_channels_last_gives_the_same():
    x, gy, w = images(), images(1), np.array([1.0, 2.0, -1.0, 0.5])
    y, mean, variance = norm.batch_norm_forward(x, w, w, 1e-3)
    y_last, *_ = norm.batch_norm_forward(last(x), w, w, 1e-3)
    np.testing.assert_allclose(y, y_last, rtol=1e-12)
    assert y_last.transpose(0, 2, 3, 1).flags.c_contiguous
    plain = norm.batch_norm_backward(gy, x, w, mean, variance, 1e-3)
    mixed = norm.batch_norm_backward(last(gy), last(x), w, mean, variance, 1e-3)
    for a, b in zip(plain, mixed, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_statistics_survive_a_large_mean():
    x = images(dtype="float32") + np.float32(1000)
    y, mean, variance = norm.batch_norm_forward(x, None, None, 0.0)
    np.testing.assert_allclose(mean, x.astype("float64").mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(variance, x.astype("float64").var((0, 2, 3)), rtol=1e-4)
    assert np.abs(y.mean((0, 2, 3))).max() < 1e-3


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_blocks_of_rows(monkeypatch, block):
    monkeypatch.setattr(norm, "_BLOCK", block)
    x, gy = images().reshape(12, 10), images(1).reshape(12, 10)
    y, mean, scale = norm.row_norm_forward(x, None, None, 1e-3)
    expected = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(y, expected, rtol=1e-10)
    np.testing.assert_allclose(mean, x.mean(1, keepdims=True), rtol=1e-10)
    gx, gw, gb = norm.row_norm_backward(gy, x, None, mean, scale)
    np.testing.assert_allclose(gw, (gy * y).sum(0), rtol=1e-10)
    np.testing.assert_allclose(gb, gy.sum(0), rtol=1e-10)
    step = 1e-6 * images(2).reshape(12, 10)
    above, below = (norm.row_norm_forward(x + s, None, None, 1e-3)[0] for s in (step, -step))
    np.testing.assert_allclose((gx * step).sum(), (gy * (above - below) / 2).sum(), rtol=1e-5)


def test_half_precision():
    x = images(dtype="float16")
    y, mean, _ = norm.batch_norm_forward(x, None, None, 1e-3)
    assert y.dtype == np.float16
    assert mean.dtype == np.float32
