"""Largest elements and their places equal NumPy's, in strips, pieces and threads."""

import numpy as np
import pytest

from disttorch.backends.cpu import extremes

SHAPES = [((6, 700, 5), 1), ((3, 600, 70), 1), ((600, 130), 0), ((90, 7, 9), 0), ((5, 800), 1)]


@pytest.fixture(autouse=True)
def many_pieces(monkeypatch):
    monkeypatch.setattr(extremes, "_SMALL", 1)
    monkeypatch.setattr(extremes, "_THREADED", 1000)
    monkeypatch.setattr(extremes, "_STRIP", 64)


@pytest.fixture(params=[1, 2])
def threads(request, monkeypatch):
    monkeypatch.setattr(extremes, "get_num_threads", lambda: request.param)


def arrays(shape):
    rng = np.random.default_rng(0)
    few = rng.integers(0, 40, shape)  # with many equal ones
    floats = rng.standard_normal(shape).astype("float32")
    holes = floats.copy()
    holes[rng.random(shape) < 0.01] = np.nan
    return [few, few.astype("float32"), floats, -np.abs(floats) * np.inf, holes]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.usefixtures("threads")
def test_equals_numpy(shape, axis, keepdims, whole):
    axis = None if whole else axis
    for x in arrays(shape):
        for name in ("max", "min"):
            expected = getattr(x, name)(axis=axis, keepdims=keepdims)
            y = extremes.extreme(x, name, axis, keepdims)
            np.testing.assert_array_equal(y, expected)
            assert y.dtype == expected.dtype
            expected = getattr(x, f"arg{name}")(axis=axis, keepdims=keepdims)
            y = extremes.arg_extreme(x, f"arg{name}", axis, keepdims)
            np.testing.assert_array_equal(y, expected)


@pytest.mark.usefixtures("threads")
def test_several_dimensions_and_other_layouts():
    x = np.random.default_rng(0).standard_normal((20, 30, 40))
    for axis in ((0, 1), (1, 2), (0, 2), (-1, -2)):
        np.testing.assert_array_equal(extremes.extreme(x, "max", axis), x.max(axis))
    np.testing.assert_array_equal(extremes.extreme(x.T, "min", 1), x.T.min(1))
    np.testing.assert_array_equal(extremes.arg_extreme(x.T, "argmin", 1), x.T.argmin(1))
