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


def _few():
    """Few float32 scores: tame ones, in several layouts, and such as overflow without a shift."""
    x = np.random.default_rng(1).standard_normal((5, 7)).astype("float32")
    return {
        **{"rows": x, "row": x[0], "strided": x[:, 1], "columns": np.asfortranarray(x)},
        **{"transposed": x.T, "one": x[:1, :1], "large": x * 100, "shifted": x - 200},
        **{"masked": np.where(x > 1, -np.inf, x), "low": np.full((2, 3), -90, "float32")},
    }


@pytest.mark.parametrize("name", _few())
def test_few_scores(name):
    x = _few()[name]
    exact = x.astype("float64")
    exact = exact - exact.max(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        log_p = exact - np.log(np.exp(exact).sum(-1, keepdims=True))
    y = softmax.softmax(x, x.ndim - 1)
    assert y.dtype == x.dtype and y.flags.c_contiguous
    np.testing.assert_allclose(y, np.exp(log_p), rtol=1e-6, atol=1e-30)
    z = softmax.log_softmax(x, x.ndim - 1)
    assert z.dtype == x.dtype and z.flags.c_contiguous
    np.testing.assert_allclose(z, log_p, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["rows", "columns", "transposed", "one"])
def test_mean_class_loss_of_few(name):
    x = _few()[name]
    n, n_classes = x.shape
    classes = np.arange(n) % n_classes
    exact = np.exp(x.astype("float64"))
    exact /= exact.sum(1, keepdims=True)
    loss = softmax.mean_class_loss(x, classes)
    assert loss.dtype == x.dtype and loss.shape == ()
    np.testing.assert_allclose(
        loss, -np.log(exact[np.arange(n), classes]).mean(), rtol=1e-6, atol=1e-12
    )
    slope = exact.copy()
    slope[np.arange(n), classes] -= 1
    found = softmax.mean_class_slope(x, classes, np.array(3, "float32"))
    np.testing.assert_allclose(found, slope * 3 / n, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["large", "shifted", "masked", "low"])
def test_scores_that_need_a_shift_have_no_short_loss(name):
    x = _few()[name]
    assert softmax.mean_class_loss(x, np.zeros(len(x), "int64")) is None
