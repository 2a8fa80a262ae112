"""The algorithms of every backend on matrices of several blocks; what stops a factorisation."""

import numpy as np
import pytest

import disttorch
import disttorch.testing.fake_device
from disttorch.backends import backend_for
from disttorch.backends.linalg import _BLOCK, LinearAlgebra

CPU = backend_for(disttorch.device("cpu"))
SIZES = ((3, 3), (_BLOCK + 7, _BLOCK + 7), (2 * _BLOCK + 5, _BLOCK + 3), (_BLOCK + 3, 2 * _BLOCK))
DTYPES = ("float64", "complex128")


def random_matrices(*shape, dtype="float64", seed=0):
    rng = np.random.RandomState(seed)
    values = rng.uniform(-1, 1, shape)
    if dtype == "complex128":
        values = values + 1j * rng.uniform(-1, 1, shape)
    return values


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_lu_multiplies_back(size, dtype):
    a = random_matrices(2, *size, dtype=dtype)
    packed, pivots, info = LinearAlgebra.lu_factor(CPU, a)
    k = min(size)
    low = np.tril(packed[..., :k], -1) + np.eye(size[0], k)
    order = CPU.pivot_permutation(pivots, size[0])
    product = low @ np.triu(packed[..., :k, :])
    np.testing.assert_allclose(product, np.take_along_axis(a, order[..., None], -2), atol=1e-11)
    assert not info.any()
    assert (np.abs(low) <= 1.5).all()  # exchanges keep the factors small


def test_lu_says_which_element_is_zero():
    a = np.stack([np.eye(3), np.diag([1.0, 0, 1]), np.zeros((3, 3))])
    assert LinearAlgebra.lu_factor(CPU, a)[2].tolist() == [0, 2, 1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("unitriangular", [False, True])
def test_triangular_solution_over_several_blocks(upper, unitriangular, dtype):
    n = 2 * _BLOCK + 5
    a = random_matrices(n, n, dtype=dtype) / n + 2 * np.eye(n)
    b = random_matrices(2, n, 3, dtype=dtype, seed=1)
    x = LinearAlgebra.solve_triangular(CPU, a, b, upper, unitriangular)
    t = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        t = t - np.diag(np.diagonal(t)) + np.eye(n)
    np.testing.assert_allclose(t @ x, b, atol=1e-12)


def test_triangular_solution_divides_by_zero_as_lapack_does():
    a = np.array([[1.0, 0], [1, 0]])
    x = LinearAlgebra.solve_triangular(
        CPU, a, np.array([[1.0], [3]]), upper=False, unitriangular=False
    )
    assert x.tolist() == [[1.0], [np.inf]]


def test_inverse_of_a_stack_with_a_singular_matrix():
    a = np.stack([2 * np.eye(2), np.ones((2, 2))])
    inverse, info = CPU.inverse(a)
    assert info.tolist() == [0, 2]
    np.testing.assert_array_equal(inverse[0], np.eye(2) / 2)


def test_cholesky_says_which_minor_is_not_positive():
    a = np.stack([np.eye(3), np.diag([1.0, -1, 1]), -np.eye(3)])
    factor, info = CPU.cholesky(a)
    assert info.tolist() == [0, 2, 1]
    np.testing.assert_array_equal(factor[0], np.eye(3))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hermitian", [False, True])
def test_ldl_solves_indefinite_systems(dtype, hermitian):
    a = random_matrices(2, 9, 9, dtype=dtype)
    a = a + (a.conj() if hermitian else a).swapaxes(-1, -2)
    a[0] -= np.diag(np.diagonal(a[0]))  # zeros on the diagonal ask for blocks of two
    packed, pivots, info = CPU.ldl_factor(a, hermitian)
    b = random_matrices(2, 9, 2, dtype=dtype, seed=2)
    x = CPU.ldl_solve(packed, pivots, b, hermitian)
    np.testing.assert_allclose(a @ x, b, atol=1e-10)
    assert not info.any()
    assert (pivots[0] < 0).any()


def test_ldl_says_which_block_is_zero():
    assert CPU.ldl_factor(np.diag([1.0, 0, 2]), False)[2] == 2


def test_factorisations_run_on_the_fake_device():
    fake = backend_for(disttorch.device("fake"))
    a = random_matrices(_BLOCK + 2, _BLOCK + 2)
    packed, _, _ = fake.lu_factor(fake.asarray(a))
    np.testing.assert_allclose(packed.get(), LinearAlgebra.lu_factor(CPU, a)[0])
    singular = fake.asarray(np.zeros((2, 2)))
    assert fake.inverse(singular)[1].item() == 1
    assert fake.cholesky(singular)[1].item() == 1
