"""Rows of `ops/linalg_*.py`: inverses, systems, factorisations.

Vectors of a factorisation are unique only up to signs and phases: such rows compare and
differentiate what is unique, mostly the squares of absolute values or the product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.ops import linalg_cholesky as cholesky
from disttorch.ops import linalg_eig as eig
from disttorch.ops import linalg_ldl as ldl
from disttorch.ops import linalg_lowrank as lowrank
from disttorch.ops import linalg_lu as lu
from disttorch.ops import linalg_qr as qr
from disttorch.ops import linalg_svd as svd
from disttorch.testing.opspec.shape import NO_0D
from disttorch.testing.opspec.spec import OpSpec, Sample, Values, complexes, floats, sample

Ref = Callable[..., Any]


def regular(*shape: int, dtype: str = "float64") -> Values:
    """Square matrices far from singular."""

    def draw(rng: np.random.RandomState, shape: tuple[int, ...]) -> np.ndarray:
        a = rng.uniform(-1, 1, shape)
        if dtype.startswith("complex"):
            a = a + 1j * rng.uniform(-1, 1, shape)
        return a + 3 * np.eye(shape[-1])

    return Values(shape, dtype, draw)


SQUARE = (sample(regular(3, 3)), sample(regular(2, 2, 2)), sample(regular(0, 2, 2)))
SQUARE += (sample(regular(2, 2, dtype="complex128")),)
ANY = (sample(floats(3, 2)), sample(floats(2, 2, 3)), sample(complexes(2, 2)))
ANY += (sample(floats(0, 2, 3)),)


def row(name: str, ref: Ref, *samples: Sample, **more: Any) -> OpSpec:
    """A row whose operator needs matrices."""
    skip = {**NO_0D, **more.pop("skip", {})}
    return OpSpec(name, ref=ref, samples=samples, skip=skip, rtol=1e-8, atol=1e-9, **more)


def _h(a: Any) -> Any:
    """Conjugate transpose, of arrays and Tensors."""
    return a.swapaxes(-1, -2).conj()


def _positive(a: Any) -> Any:
    """A positive-definite matrix from any square one."""
    return a @ _h(a) + a.new_ones(a.shape[-1]).diag()


def _np_positive(a: np.ndarray) -> np.ndarray:
    return a @ _h(a) + np.eye(a.shape[-1])


def _infos(a: np.ndarray) -> np.ndarray:
    return np.zeros(a.shape[:-2], "int32")


def _np_inverse(a: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.inv(a))


def _np_solve(a: np.ndarray, b: np.ndarray, left: bool = True) -> np.ndarray:
    if not left:
        return _h(np.linalg.solve(_h(a), _h(b)))
    vectors = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    return np.linalg.solve(a, b[..., None])[..., 0] if vectors else np.linalg.solve(a, b)


def _systems(*more: Sample) -> tuple[Sample, ...]:
    return (
        sample(regular(3, 3), floats(3, 2)),
        sample(regular(2, 2, 2), floats(2, 1)),
        sample(regular(2, 2, dtype="complex128"), complexes(2, 2)),
        sample(regular(2, 2), floats(0, 2, 2)),
        *more,
    )


VECTORS = (sample(regular(2, 2), floats(2)), sample(regular(3, 2, 2), floats(3, 2)))
RIGHT = (sample(regular(2, 2), floats(3, 2), left=False),)

INVERSES = (
    row("linalg_inv", _np_inverse, *SQUARE),
    row("inverse", _np_inverse, *SQUARE),
    row("linalg_inv_ex", lambda a: (_np_inverse(a), _infos(a)), *SQUARE),
    row("linalg_solve", _np_solve, *_systems(*VECTORS, *RIGHT)),
    row(
        "linalg_solve_ex",
        lambda a, b: (_np_solve(a, b), np.zeros(a.shape[:-2], "int32")),
        *_systems(),
    ),
    row(
        "linalg_tensorinv",
        lambda a, ind=2: np.linalg.tensorinv(a, ind),
        sample(regular(4, 4), 1),
        skip={"empty": "NumPy's refuses it"},
    ),
    row(
        "linalg_tensorsolve",
        np.linalg.tensorsolve,
        sample(regular(3, 3), floats(3)),
        skip={"empty": "NumPy's refuses it"},
    ),
    row("linalg_pinv", np.linalg.pinv, *ANY),
    row("pinverse", np.linalg.pinv, *ANY[:2], sample(floats(0, 2, 3))),
    row(
        "linalg_lstsq",
        lambda a, b: (np.linalg.lstsq(a, b)[0], None, np.int64(2), None),
        sample(floats(3, 2), floats(3, 2)),
        sample(floats(2, 3), floats(2, 1)),
        skip={"empty": "NumPy's takes no stacks"},
    ),
    row(
        "linalg_matrix_rank",
        np.linalg.matrix_rank,
        sample(floats(2, 3, 2)),
        sample(floats(0, 3, 2)),
    ),
)


def _np_triangular(
    a: np.ndarray, b: np.ndarray, upper: bool, left: bool = True, unitriangular: bool = False
) -> np.ndarray:
    t = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        t = t - t * np.eye(t.shape[-1]) + np.eye(t.shape[-1])
    return _np_solve(t, b, left)


TRIANGULAR = (
    row(
        "linalg_solve_triangular",
        _np_triangular,
        sample(regular(3, 3), floats(3, 2), upper=True),
        sample(regular(3, 3), floats(2, 3), upper=False, left=False),
        sample(regular(2, 2, 2), floats(2, 1), upper=False, unitriangular=True),
        sample(regular(2, 2, dtype="complex128"), complexes(2, 2), upper=False),
        sample(regular(2, 2), floats(0, 2, 2), upper=True),
    ),
    row(
        "triangular_solve",
        lambda b, a, upper=True, transpose=False: (
            _np_solve((np.triu(a) if upper else np.tril(a)).T if transpose else np.triu(a), b),
            a,
        ),
        sample(floats(3, 2), regular(3, 3)),
        sample(floats(3, 2), regular(3, 3), True, True),
        sample(floats(3, 0), regular(3, 3)),
    ),
    row(
        "linalg_cholesky",
        lambda a, upper=False: (
            _h(np.linalg.cholesky(_np_positive(a)))
            if upper
            else np.linalg.cholesky(_np_positive(a))
        ),
        *SQUARE,
        sample(regular(2, 2), upper=True),
        op=lambda a, upper=False: cholesky.linalg_cholesky(_positive(a), upper=upper),
    ),
    row(
        "linalg_cholesky_ex",
        lambda a: (np.linalg.cholesky(_np_positive(a)), _infos(a)),
        *SQUARE,
        op=lambda a: cholesky.linalg_cholesky_ex(_positive(a)),
    ),
    row(
        "cholesky",
        lambda a: np.linalg.cholesky(_np_positive(a)),
        sample(regular(2, 2)),
        sample(regular(0, 2, 2)),
        op=lambda a: cholesky.cholesky(_positive(a)),
    ),
    row(
        "cholesky_solve",
        lambda b, a, upper=False: np.linalg.solve(
            _h(np.triu(a)) @ np.triu(a) if upper else np.tril(a) @ _h(np.tril(a)), b
        ),
        sample(floats(3, 2), regular(3, 3)),
        sample(floats(2, 1), regular(2, 2), upper=True),
        sample(complexes(2, 1), regular(2, 2, dtype="complex128")),
        sample(floats(0, 2, 1), regular(2, 2)),
    ),
    row(
        "cholesky_inverse",
        lambda a: np.linalg.inv(np.tril(a) @ _h(np.tril(a))),
        *SQUARE,
    ),
)


def _unsigned(vectors: Any) -> Any:
    return abs(vectors) ** 2


def _symmetric(a: Any) -> Any:
    return (a + _h(a)) / 2


def _np_eigh(a: np.ndarray) -> tuple[Any, ...]:
    values, vectors = np.linalg.eigh(_symmetric(a))
    return values, _unsigned(vectors)


def _np_eig(a: np.ndarray) -> tuple[Any, ...]:
    values, vectors = np.linalg.eig(a)
    return values.astype("complex128"), _unsigned(vectors.astype("complex128"))


def _np_svd(a: np.ndarray) -> tuple[Any, ...]:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return _unsigned(u), s, (u * s[..., None, :]) @ vh


def _svd_parts(u: Any, s: Any, vh: Any) -> tuple[Any, ...]:
    return _unsigned(u), s, (u * s.unsqueeze(-2)) @ vh


def _old_svd_parts(u: Any, s: Any, v: Any) -> tuple[Any, ...]:
    return _svd_parts(u, s, v.mH)


def _spectrum(values: Any, vectors: Any) -> tuple[Any, ...]:
    return values, _unsigned(vectors)


def _qr_parts(q: Any, r: Any) -> tuple[Any, ...]:
    return _unsigned(q), q @ r


def _np_qr(a: np.ndarray) -> tuple[Any, ...]:
    q, r = np.linalg.qr(a)
    return _unsigned(q), q @ r


def _leading(result: Any) -> Any:
    u, s, v = result
    return s, (u * s.unsqueeze(-2)) @ v.mH


def _np_leading(a: np.ndarray, **_: Any) -> tuple[Any, ...]:
    return np.linalg.svd(a, compute_uv=False), a


SPECTRA = (
    row(
        "linalg_eigh",
        _np_eigh,
        *SQUARE,
        op=lambda a: _spectrum(*eig.linalg_eigh(_symmetric(a))),
    ),
    row(
        "linalg_eigvalsh",
        lambda a: _np_eigh(a)[0],
        *SQUARE,
        op=lambda a: eig.linalg_eigvalsh(_symmetric(a)),
    ),
    row(
        "linalg_eig",
        _np_eig,
        *SQUARE,
        op=lambda a: _spectrum(*eig.linalg_eig(a)),
    ),
    row("linalg_eigvals", lambda a: _np_eig(a)[0], *SQUARE),
    row("linalg_svd", _np_svd, *ANY, op=lambda a: _svd_parts(*svd.linalg_svd(a, False))),
    row("svd", _np_svd, *ANY, op=lambda a: _old_svd_parts(*svd.svd(a))),
    row("linalg_svdvals", lambda a: np.linalg.svd(a, compute_uv=False), *ANY),
    row(
        "svd_lowrank",
        _np_leading,
        sample(floats(3, 2)),
        op=lambda a: _leading(lowrank.svd_lowrank(a, 2)),
        skip={"empty": "needs elements", "gradgradcheck": "as its parts", "gradcheck": "random"},
    ),
    row(
        "pca_lowrank",
        lambda a: _np_leading(a - a.mean(0)),
        sample(floats(3, 2)),
        op=lambda a: _leading(lowrank.pca_lowrank(a, 2)),
        skip={"empty": "needs elements", "gradgradcheck": "as its parts", "gradcheck": "random"},
    ),
    row(
        "linalg_qr",
        _np_qr,
        *ANY,
        op=lambda a: _qr_parts(*qr.linalg_qr(a)),
    ),
    row(
        "qr",
        _np_qr,
        *ANY[:1],
        sample(floats(0, 3, 2)),
        op=lambda a: _qr_parts(*qr.qr(a)),
    ),
)


def _packed(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    h, tau = np.linalg.qr(a, mode="raw")
    return np.swapaxes(h, -1, -2), tau


def _np_reflections(a: np.ndarray, tau: np.ndarray) -> np.ndarray:
    m = a.shape[0]
    product = np.eye(m, dtype=a.dtype)
    for i, t in enumerate(tau):
        v = np.concatenate([np.zeros(i), [1], a[i + 1 :, i]])
        product = product @ (np.eye(m) - t * np.outer(v, v.conj()))
    return product


def _np_lu(a: np.ndarray) -> np.ndarray:
    """Packed factors without exchanges: the samples' diagonals are the largest elements."""
    a = a.copy()
    for i in range(min(a.shape[-2:])):
        a[..., i + 1 :, i] /= a[..., i, i, None]
        a[..., i + 1 :, i + 1 :] -= a[..., i + 1 :, i, None] * a[..., i, None, i + 1 :]
    return a


def _steps(a: np.ndarray) -> np.ndarray:
    k = min(a.shape[-2:])
    return np.broadcast_to(np.arange(1, k + 1, dtype="int32"), (*a.shape[:-2], k))


def _np_lu_parts(a: np.ndarray) -> tuple[np.ndarray, ...]:
    k = min(a.shape[-2:])
    packed = _np_lu(a)
    p = np.broadcast_to(np.eye(a.shape[-2], dtype=a.dtype), (*a.shape[:-2], *a.shape[-2:-1] * 2))
    low = np.tril(packed[..., :k], -1) + np.eye(a.shape[-2], k)
    return p, low, np.triu(packed[..., :k, :])


LU_SAMPLES = (*SQUARE[:3], sample(regular(2, 2, dtype="complex128")))


def _reconstructed(a: Any) -> Any:
    p, low, high = lu.linalg_lu(a)
    return low, high, p @ low @ high


def _np_reconstructed(a: np.ndarray) -> tuple[Any, ...]:
    return None, None, a


FACTORS = (
    row("linalg_lu_factor", lambda a: (_np_lu(a), _steps(a)), *LU_SAMPLES),
    row("linalg_lu_factor_ex", lambda a: (_np_lu(a), _steps(a), _infos(a)), *LU_SAMPLES),
    row("lu", lambda a: (_np_lu(a), _steps(a)), *LU_SAMPLES[1:3]),
    row("linalg_lu", _np_lu_parts, *LU_SAMPLES),
    row(
        "linalg_lu",
        _np_reconstructed,
        *(sample(floats(3, 2)), sample(floats(2, 3)), sample(floats(0, 2, 2))),
        op=_reconstructed,
    ),
    row(
        "lu_unpack",
        _np_lu_parts,
        *LU_SAMPLES[:3],
        op=lambda a: lu.lu_unpack(*lu.linalg_lu_factor(a)),
    ),
    row(
        "linalg_lu_solve",
        lambda a, b, left=True: _np_solve(a, b, left),
        *_systems(*RIGHT),
        op=lambda a, b, left=True: lu.linalg_lu_solve(*lu.linalg_lu_factor(a), b, left=left),
    ),
    row(
        "lu_solve",
        _np_solve,
        *_systems()[:1],
        sample(regular(2, 2), floats(2, 0)),
        op=lambda a, b: lu.lu_solve(b, *lu.linalg_lu_factor(a)),
    ),
    row(
        "linalg_ldl_solve",
        lambda a, b: np.linalg.solve(_symmetric(a), b),
        *_systems()[:1],
        sample(regular(2, 2), floats(2, 0)),
        op=lambda a, b: ldl.linalg_ldl_solve(*ldl.linalg_ldl_factor(_symmetric(a)), b),
    ),
    row(
        "geqrf",
        _packed,
        sample(floats(3, 2)),
        sample(floats(2, 3)),
        skip={"empty": "NumPy's packed form needs elements"},
    ),
    row(
        "linalg_householder_product",
        lambda a, tau: _np_reflections(a, tau)[:, : a.shape[1]],
        sample(floats(3, 2), floats(2)),
        sample(complexes(2, 2), complexes(1)),
        sample(floats(3, 0), floats(0)),
        aliases=("orgqr",),
    ),
    row(
        "ormqr",
        lambda a, tau, b: _np_reflections(a, tau) @ b,
        sample(floats(3, 2), floats(2), floats(3, 2)),
        sample(floats(3, 2), floats(2), floats(3, 0)),
    ),
)

SPECS = (*INVERSES, *TRIANGULAR, *SPECTRA, *FACTORS)

_LDL = "compared by what `ldl_solve` makes of it"
EXEMPT = {"linalg_ldl_factor": _LDL, "linalg_ldl_factor_ex": _LDL}
