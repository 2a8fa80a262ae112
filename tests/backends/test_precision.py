"""16-bit floats: computed in float32, rounded once."""

import ml_dtypes
import numpy as np
import pytest

from disttorch.backends.precision import is_short, rounded_once, wide

SHORT = [np.float16, ml_dtypes.bfloat16]


@pytest.mark.parametrize("np_dtype", SHORT)
def test_short_floats_are_seen_as_float32_and_rounded_at_the_end(np_dtype):
    seen = []

    @rounded_once
    def scaled(x, y, n):
        seen.append((x.dtype, y.dtype))
        return x * y + n

    y = scaled(np.ones(3, np_dtype), np.full(3, 2, np_dtype), 0.5)
    assert seen == [(np.float32, np.float32)]
    assert y.dtype == np_dtype
    np.testing.assert_array_equal(y.astype("float32"), 2.5)


@pytest.mark.parametrize("np_dtype", ["float32", "float64", "int16", "int64", "bool"])
def test_others_are_left_alone(np_dtype):
    x = np.ones(3, np_dtype)
    assert not is_short(x)
    assert wide(x) is x
    assert rounded_once(lambda a: a)(x) is x
