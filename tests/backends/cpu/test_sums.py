"""Sums and running sums against the definition: dimensions, layouts, dtypes, lengths, no values."""

import itertools

import numpy as np
import pytest

from disttorch.backends.cpu import sums

SHAPES = ((20000,), (150, 130), (3, 40, 150), (2, 9001), (0, 5), (130, 140, 1), (7,), (3, 4))


def _array(shape, dtype, order="C"):
    return np.asarray(np.random.default_rng(0).standard_normal(shape), dtype, order=order)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_sum(shape, dtype, order, keepdims):
    x = _array(shape, dtype, order)
    dims = range(x.ndim)
    axes = [None, *(c for n in dims for c in itertools.combinations(dims, n + 1)), -1]
    for axis in axes:
        found = sums.add_up(x, axis, keepdims)
        expected = x.sum(axis=axis, keepdims=keepdims, dtype="float64")
        assert np.shape(found) == expected.shape
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
        squares = sums.sum_squares(x, axis, keepdims)
        expected = (x.astype("float64") ** 2).sum(axis=axis, keepdims=keepdims)
        assert np.shape(squares) == expected.shape
        np.testing.assert_allclose(squares, expected, rtol=1e-5, atol=1e-3)


def test_sums_of_what_is_not_finite():
    x = np.ones((200, 200), "float32")
    x[0, 0], x[1, 1], x[2, :2] = np.nan, np.inf, (np.inf, -np.inf)
    found = sums.add_up(x, 1, False)
    assert np.isnan(found[0])
    assert found[1] == np.inf
    assert np.isnan(found[2])
    assert (found[3:] == 200).all()


def test_a_long_sum_is_as_accurate_as_numpys():
    x = np.random.default_rng(0).uniform(0, 1, 3_000_001).astype("float32")
    assert sums.add_up(x, None, False) == pytest.approx(x.sum(dtype="float64"), rel=1e-6)


@pytest.mark.parametrize("total", [sums.add_up, sums.sum_squares])
def test_rounding_errors_of_equal_elements_do_not_add_up(total):
    x = np.full(3_000_001, 0.1, "float32")
    exact = (x.astype("float64") ** (2 if total is sums.sum_squares else 1)).sum()
    assert total(x) == pytest.approx(exact, rel=5e-7)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_running_sum(shape, dtype, order):
    x = _array(shape, dtype, order)
    for axis in range(x.ndim):
        found = sums.cumsum(x, axis)
        assert found.dtype == x.dtype
        expected = np.cumsum(x, axis, dtype="float64")
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("shape, axis", [((3000,), None), ((3000, 4), 0), ((4, 3000), 1)])
@pytest.mark.parametrize("np_dtype", ["float16", "bfloat16"])
def test_short_floats_are_added_up_in_float32(np_dtype, shape, axis):
    x = np.ones(shape, np_dtype)
    rounded = np.asarray(3000, np_dtype)
    for found in (sums.add_up(x, axis), sums.sum_squares(x, axis)):
        assert found.dtype == x.dtype
        assert np.all(found == rounded)
    assert np.all(np.take(sums.cumsum(x, axis or 0), -1, axis or 0) == rounded)
