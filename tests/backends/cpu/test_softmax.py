"""Softmax kernels: blocks, layouts and dimensions agree with the definition."""

import numpy as np
import pytest

from disttorch.backends.cpu import softmax


@pytest.mark.parametrize(("block", "small"), [(1, 0), (5, 0), (1 << 15, 0), (1, 60)])
@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_blocks_of_any_dimension(monkeypatch, block, small, dim, dtype):
    monkeypatch.setattr(softmax, "_SMALL", small)
    monkeypatch.setattr(softmax, "_BLOCK", block)
    x = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(dtype)
    exact = np.exp(x.astype("float64"))
    exact /= exact.sum(dim, keepdims=True)
    tolerance = {"rtol": 1e-10} if dtype == "float64" else {"rtol": 1e-2}
    for source in (x, np.ascontiguousarray(x.T).T):
        y = softmax.softmax(source, dim)
        assert y.dtype == dtype
        assert y.flags.c_contiguous
        np.testing.assert_allclose(y, exact, **tolerance)
        np.testing.assert_allclose(softmax.log_softmax(source, dim), np.log(exact), **tolerance)


@pytest.mark.parametrize(("shape", "dim"), [((0, 3), 1), ((3, 0), 1)])
def test_nothing_to_normalise(shape, dim):
    assert softmax.softmax(np.zeros(shape), dim).shape == shape


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("np_dtype", ["float16", "bfloat16"])
def test_short_floats_are_normalised_in_float32(np_dtype, dim):
    x = np.zeros((3000, 1) if dim == 0 else (1, 3000), np_dtype)
    ones = np.ones_like(x)
    y = softmax.softmax(x, dim)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y.astype("float32"), 1 / 3000, rtol=1e-2)
    np.testing.assert_allclose(
        softmax.log_softmax(x, dim).astype("float32"), -np.log(3000), rtol=1e-2
    )
    np.testing.assert_allclose(
        softmax.log_softmax_backward(ones, y, dim).astype("float32"), 1 - 3000, rtol=1e-2, atol=3000
    )
    np.testing.assert_allclose(
        softmax.softmax_backward(ones, y, dim).astype("float32"), 0, atol=1e-5
    )
