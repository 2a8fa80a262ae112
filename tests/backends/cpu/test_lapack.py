"""NumPy's own LAPACK gives what the algorithms of every backend give."""

import numpy as np
import pytest

import disttorch
from disttorch.backends import backend_for
from disttorch.backends.cpu import lapack
from disttorch.backends.linalg import LinearAlgebra

CPU = backend_for(disttorch.device("cpu"))
DTYPES = ("float32", "float64", "complex64", "complex128")


def matrices(*shape, dtype):
    rng = np.random.RandomState(0)
    values = rng.uniform(-1, 1, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.uniform(-1, 1, shape)
    return values.astype(dtype)


def tolerance(dtype):
    return 1e-4 if dtype in ("float32", "complex64") else 1e-10


@pytest.fixture(autouse=True)
def _present():
    if lapack.lu_factor(np.eye(2)) is None:
        pytest.skip("this NumPy brings no OpenBLAS of its own")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 4), (2, 5, 3), (3, 1, 3, 5)])
def test_lu(shape, dtype):
    a = matrices(*shape, dtype=dtype).swapaxes(-1, -2)  # rows that are not contiguous
    found = lapack.lu_factor(a)
    expected = LinearAlgebra.lu_factor(CPU, a)
    np.testing.assert_allclose(found[0], expected[0], atol=tolerance(dtype))
    for x, y in zip(found, expected, strict=True):
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
    np.testing.assert_array_equal(found[1], expected[1])


def test_lu_says_which_element_is_zero():
    a = np.stack([np.eye(3), np.diag([1.0, 0, 1])])
    assert lapack.lu_factor(a)[2].tolist() == [0, 2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("unitriangular", [False, True])
def test_triangular_solution(upper, unitriangular, dtype):
    a = matrices(3, 4, 4, dtype=dtype) + 3 * np.eye(4, dtype=dtype)
    b = matrices(2, 1, 4, 2, dtype=dtype)
    before = b.copy()
    found = lapack.solve_triangular(a, b, upper, unitriangular)
    expected = LinearAlgebra.solve_triangular(CPU, a, b, upper, unitriangular)
    np.testing.assert_allclose(found, expected, atol=tolerance(dtype))
    np.testing.assert_array_equal(b, before)


def test_triangular_solution_divides_by_zero():
    x = lapack.solve_triangular(np.zeros((1, 1)), np.ones((1, 1)), True, False)
    assert np.isinf(x).all()


@pytest.mark.parametrize("n", [1, 2, 50, 3000])
def test_swaps_one_by_one(n):
    places = np.arange(n) + np.random.RandomState(n).randint(0, 1 << 30, n) % (n - np.arange(n))
    expected = list(range(n))
    for i, j in enumerate(places):
        expected[i], expected[j] = expected[j], expected[i]
    values = np.arange(n, dtype=np.float64)
    assert lapack.swap_one_by_one(values, places[: max(n - 1, 1)])
    assert values.tolist() == expected


def test_swapping_nothing_changes_nothing():
    values = np.arange(3.0)
    assert lapack.swap_one_by_one(values, np.empty(0, np.int64))
    assert values.tolist() == [0, 1, 2]
