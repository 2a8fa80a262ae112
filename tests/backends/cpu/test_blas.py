"""axpby: the one-pass BLAS routine and the array operations it replaces give the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from disttorch.backends.cpu import blas
from disttorch.backends.cpu.numpy_backend import CPU


@pytest.mark.parametrize("np_dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("n", [0, 1, 1000, 40_000])
@pytest.mark.parametrize(("a", "b"), [(0.5, 0.9), (-2.0, 1.0), (1.0, 0.0)])
def test_axpby(np_dtype, n, a, b):
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(n).astype(np_dtype) for _ in range(2))
    want = a * x.astype(np.float64) + b * y.astype(np.float64)
    CPU.axpby(a, x, b, y, np.empty_like(y))
    tolerance = 4 * float(np.finfo(np_dtype).eps)
    np.testing.assert_allclose(y, want, rtol=tolerance, atol=tolerance * 4)


def test_small_and_unknown_arrays_are_left_to_numpy():
    for x in (np.ones(8, np.float32), np.ones(40_000, np.float16)):
        assert not blas.axpby(2.0, x, 1.0, x)
        assert x[0] == 1


@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (200, 300)])
@pytest.mark.parametrize("np_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("read_only", [False, True])
def test_add_scaled(np_dtype, shape, read_only):
    rng = np.random.default_rng(0)
    x, y = (np.asarray(rng.standard_normal(shape), np_dtype) for _ in range(2))
    want = y.astype(np.float64) - 0.3 * x.astype(np.float64)
    x.flags.writeable = not read_only
    assert CPU.add_scaled(y, x, -0.3)
    tolerance = 4 * float(np.finfo(np_dtype).eps)
    np.testing.assert_allclose(y, want, rtol=tolerance, atol=tolerance * 4)


@pytest.mark.parametrize(
    ("y", "x"),
    [
        (np.ones((4, 4), np.float16), np.ones((4, 4), np.float16)),
        (np.ones((4, 4), np.complex64), np.ones((4, 4), np.complex64)),
        (np.ones((4, 4)), np.ones((4, 4), np.float32)),
        (np.ones((4, 4)), np.ones((1, 4))),
        (np.ones((4, 4)), np.ones((4, 4)).T[::2].repeat(2, 0).T),
    ],
)
def test_what_one_pass_does_not_do_is_left_as_it_is(y, x):
    assert not CPU.add_scaled(y, x, 2.0)
    assert (y == 1).all()
