"""Kernels over rows against the same functions on NumPy."""

import numpy as np
import pytest

from disttorch.backends.cpu import norm, softmax, sums
from disttorch.backends.cpu.jit import rows
from disttorch.backends.cpu.numpy_backend import CPU

pytest.importorskip("numba", reason="the `fast` extra is not installed")

SHAPES = ((130, 257), (3, 40000), (40000, 3))


@pytest.fixture
def both(monkeypatch):
    """Call a function without and with kernels; both results."""

    def call(function, *args):
        asked = []
        monkeypatch.setattr(rows, "pays", lambda *_: False)
        expected = function(*args)
        monkeypatch.setattr(rows, "pays", lambda *a: asked.append(a) or True)
        found = function(*args)
        assert asked, "no kernel was asked for"
        return found, expected

    return call


def _array(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(both, monkeypatch, name, shape, n_threads):
    monkeypatch.setattr("disttorch.backends.cpu.threads._Setting.n", n_threads)
    x = _array(shape) * 10
    x[0, :2] = 90, -np.inf
    y, expected = both(getattr(softmax, name), x, 1)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-6)
    backward = getattr(softmax, f"{name}_backward")
    gx, expected = both(backward, _array(shape, 1), expected, 1)
    np.testing.assert_allclose(gx, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.parametrize("affine", ["", "w", "wb"])
def test_row_norm(both, monkeypatch, shape, affine, n_threads):
    monkeypatch.setattr("disttorch.backends.cpu.threads._Setting.n", n_threads)
    x, g = _array(shape) + 3, _array(shape, 1)
    w = _array(shape[1:], 2) if "w" in affine else None
    b = _array(shape[1:], 3) if "b" in affine else None
    found, expected = both(norm.row_norm_forward, x, w, b, 1e-5)
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5)
    found, expected = both(norm.row_norm_backward, g, x, w, *expected[1:])
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_log_sum_exp(both, shape):
    x = _array(shape) * 10
    x[0], x[1, 0], x[2, 0] = -np.inf, np.inf, np.nan
    found, expected = both(CPU.log_sum_exp, x, (1,))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_running_sum(both):
    x = _array((50, 1000))
    for source in (x, x[:, ::-1], x.reshape(5, 10, 1000)):
        y, _ = both(sums.cumsum, source, source.ndim - 1)
        np.testing.assert_allclose(y, np.cumsum(source, -1, dtype="float64"), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("shape", [(5, 7, 31, 33), (64, 300, 2), (1, 2, 40000)])
@pytest.mark.parametrize("affine", ["", "w", "wb"])
def test_batch_norm(both, monkeypatch, shape, affine, n_threads):
    monkeypatch.setattr("disttorch.backends.cpu.threads._Setting.n", n_threads)
    c = shape[1]
    x, g = _array(shape) + 3 * _array((c, *(1,) * len(shape[2:])), 4), _array(shape, 1)
    w = _array((c,), 2) if "w" in affine else None
    b = _array((c,), 3) if "b" in affine else None
    found, expected = both(norm.batch_norm_forward, x, w, b, 1e-5)
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5)
    found, expected = both(norm.batch_norm_backward, g, x, w, *expected[1:], 1e-5)
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-3)
