"""scatter_add equals `np.add.at`, whichever way it takes."""

import numpy as np
import pytest

from disttorch.backends.cpu.scatter import scatter_add

RNG = np.random.RandomState(0)


def integers(n, *shape):
    return RNG.randint(-n, n, shape)


# Shape of the output, index, shape of the values.
CASES = (
    ((4,), (integers(4, 3),), (3,)),
    ((200,), (integers(200, 50),), (50,)),
    ((200,), (integers(200, 5, 10),), (5, 10)),
    ((40, 7), (integers(40, 100),), (100, 7)),
    ((7, 40), (slice(None), integers(40, 100)), (7, 100)),
    ((3, 40, 5), (slice(None), integers(40, 4, 6)), (3, 4, 6, 5)),
    ((40, 7), (integers(40, 100),), ()),
    ((40, 7), (integers(40, 30), integers(7, 30)), (30,)),
    ((40, 7), (integers(40, 30, 1), integers(7, 4)), (30, 4)),
    ((40, 7), (integers(40, 2), integers(7, 2)), (2,)),
    ((40, 7, 2), (integers(40, 30), slice(None), integers(2, 30)), (30, 7)),
    ((40, 7), (RNG.rand(40) < 0.5,), (7,)),
    ((40, 7), (np.zeros(0, np.int64),), (0, 7)),
    ((40, 7), (integers(3, 200),), (200, 7)),
    ((40, 7), (slice(1, 3), integers(7, 20)), (2, 20)),
)


@pytest.mark.parametrize("dtype", ("float64", "float32", "int64", "complex128", "uint8"))
@pytest.mark.parametrize(("shape", "index", "values"), CASES)
def test_equals_add_at(shape, index, values, dtype):
    out = (RNG.rand(*shape) * 9).astype(dtype)
    added = np.asarray(RNG.rand(*values) * 9).astype(dtype)
    expected = out.astype(dtype, copy=True)
    np.add.at(expected, index, added)
    scatter_add(out, index, added)
    np.testing.assert_allclose(out, expected, rtol=1e-5)


BEYOND = np.full(30, 40)


@pytest.mark.parametrize("index", ((BEYOND,), (BEYOND, np.zeros(30, int))))
def test_positions_out_of_bounds_are_refused(index):
    with pytest.raises(IndexError):
        scatter_add(np.zeros((40, 7)), index, 1.0)
