"""Normalize: values, dtype, in place or not, and its refusals."""

import numpy as np
import pytest

from disttorch import from_numpy
from disttorch.vision.transforms import Normalize

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "mean", "std"),
    [
        ((1, 4, 5), [0.5], [2.0]),
        ((3, 4, 5), [0.1, 0.2, 0.3], [1.0, 2.0, 3.0]),
        ((3, 4, 5), [0.5], [2.0]),
        ((2, 3, 4, 5), [0.1, 0.2, 0.3], [1.0, 2.0, 3.0]),
    ],
)
@pytest.mark.parametrize("inplace", [False, True])
def test_values(shape, mean, std, dtype, inplace):
    array = RNG.random(shape).astype(dtype)
    expected = (array - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
    tensor = from_numpy(array.copy())
    result = Normalize(mean, std, inplace)(tensor)
    assert result.numpy().dtype == dtype
    assert (result is tensor) == inplace
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(tensor.numpy(), result.numpy() if inplace else array)


@pytest.mark.parametrize(
    ("sample", "std", "error", "complaint"),
    [
        (np.zeros((1, 2, 2)), 1, TypeError, "img should be Tensor Image"),
        (from_numpy(np.zeros((1, 2, 2), np.uint8)), 1, TypeError, "should be a float tensor"),
        (from_numpy(np.zeros((2, 2), np.float32)), 1, ValueError, r"size \(\.\.\., C, H, W\)"),
        (from_numpy(np.zeros((1, 2, 2), np.float32)), 0, ValueError, "std evaluated to zero"),
    ],
)
def test_refusals(sample, std, error, complaint):
    with pytest.raises(error, match=complaint):
        Normalize([0.0], [std])(sample)
