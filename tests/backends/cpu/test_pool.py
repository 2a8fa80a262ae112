"""Pooling kernels: layouts, NaN, ties, adjointness of gather and scatter."""

import itertools

import numpy as np
import pytest

from disttorch.backends.cpu import pool
from disttorch.backends.window import Window

WINDOWS = [
    Window((2, 2), (2, 2), (0, 0), (1, 1)),
    Window((3, 2), (1, 2), (1, 0), (1, 1)),
    Window((2, 3), (2, 1), (1, 1), (2, 1)),
    Window((1, 2), (3, 3), (0, 0), (1, 1)),
]
LAST = (0, 2, 3, 1)


def images(seed=0, shape=(2, 3, 6, 7), dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def last(x):
    return np.ascontiguousarray(x.transpose(LAST)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_layouts_agree_and_are_kept(window, dtype):
    x = images(dtype=dtype)
    out_sizes = window.outputs((6, 7))
    for function in (pool.max_pool, pool.sum_pool):
        y, y_last = function(x, window, out_sizes), function(last(x), window, out_sizes)
        np.testing.assert_array_equal(y, y_last)
        assert y.flags.c_contiguous
        assert y_last.transpose(LAST).flags.c_contiguous
        assert y.dtype == dtype


@pytest.mark.parametrize("window", WINDOWS)
def test_scatter_is_the_adjoint_of_gather(window):
    x = images()
    y = pool.max_pool(x, window, window.outputs((6, 7)))
    which = pool.max_pool_taps(x, y, window)
    assert which.dtype == np.uint8
    np.testing.assert_array_equal(pool.pool_gather(x, which, window), y)
    gy = images(1, y.shape)
    gx = pool.pool_scatter(gy, which, (6, 7), window)
    np.testing.assert_allclose((gx * x).sum(), (gy * y).sum())
    np.testing.assert_allclose(pool.pool_scatter(last(gy), which, (6, 7), window), gx)


@pytest.mark.parametrize("window", WINDOWS)
def test_spreading_is_the_adjoint_of_summing(window):
    x = images()
    y = pool.sum_pool(x, window, window.outputs((6, 7)))
    gy = images(1, y.shape)
    gx = pool.sum_pool_backward(gy, (6, 7), window)
    np.testing.assert_allclose((gx * x).sum(), (gy * y).sum())


def test_scatter_passes_infinities_only_where_they_belong():
    window = WINDOWS[0]
    x = images()
    y = pool.max_pool(x, window, (3, 3))
    gy = np.full(y.shape, np.inf)
    gx = pool.pool_scatter(gy, pool.max_pool_taps(x, y, window), (6, 7), window)
    assert np.isinf(gx).sum() == y.size
    assert not np.isnan(gx).any()


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ([1.0, 3.0, 3.0, 2.0], 1),  # the first of equals
        ([np.nan, 3.0, np.nan, 2.0], 2),  # the last NaN, as in PyTorch
        ([-np.inf, -np.inf, -np.inf, -np.inf], 0),
    ],
)
def test_which_of_several(row, where):
    window = Window((4,), (4,), (0,), (1,))
    x = np.array(row).reshape(1, 1, 4)
    y = pool.max_pool(x, window, (1,))
    which = pool.max_pool_taps(x, y, window)
    assert pool.tap_indices(which, (4,), window).item() == where
    np.testing.assert_array_equal(y.item(), row[where])


def test_indices_count_in_the_flattened_image():
    x = images(shape=(1, 1, 4, 5))
    window = Window((2, 2), (1, 2), (0, 0), (2, 1))
    y = pool.max_pool(x, window, window.outputs((4, 5)))
    index = pool.tap_indices(pool.max_pool_taps(x, y, window), (4, 5), window)
    for at in itertools.product(*map(range, y.shape)):
        assert x.reshape(-1)[index[at]] == y[at]


def test_more_taps_than_a_byte_counts():
    x = np.arange(400.0).reshape(1, 1, 20, 20)
    window = Window((20, 20), (1, 1), (0, 0), (1, 1))
    which = pool.max_pool_taps(x, pool.max_pool(x, window, (1, 1)), window)
    assert which.item() == 399
