"""log1p and expm1 of float32 against float64's, near 0, at the ends and in between."""

import numpy as np
import pytest

from disttorch.backends.cpu import exponentials

EDGES = (
    *(0.0, -0.0, 1e-40, -1e-40, 1e-8, -1e-8, -1.0, -0.99999994, 88.7, 89.0, -20.0, -104.0),
    *(3e38, -3e38, np.inf, -np.inf, np.nan, 0.49999997, 0.5, -0.5),
)


@pytest.mark.parametrize("name", ["log1p", "expm1"])
def test_within_five_units_in_the_last_place(name):
    draw = np.random.default_rng(0).standard_normal
    scales = (1e-6, 1e-2, 0.3, 1, 10, 60)
    x = np.concatenate([draw(20000) * s for s in scales] + [EDGES]).astype("float32")
    found = getattr(exponentials, name)(x)
    exact = getattr(np, name)(x.astype("float64"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
    rounded = exact.astype("float32")
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(found[~finite], rounded[~finite])
    unit = np.spacing(np.abs(rounded[finite]))
    assert (np.abs(found[finite] - exact[finite]) <= 5 * unit).all()


@pytest.mark.parametrize("name", ["log1p", "expm1"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_any_shape_layout_and_dtype(name, dtype):
    for shape in ((), (3,), (70, 50)):
        x = np.random.default_rng(0).uniform(-0.5, 2, shape).astype(dtype)
        found = getattr(exponentials, name)(x.T)
        assert found.dtype == dtype
        tolerance = {"float64": 1e-14, "float32": 1e-6, "float16": 1e-3}[dtype]
        exact = getattr(np, name)(x.T.astype("float64"))
        np.testing.assert_allclose(found, exact, rtol=tolerance, atol=tolerance)
