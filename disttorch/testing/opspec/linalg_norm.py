"""Rows of `ops/linalg_*.py`: determinants, norms, powers and products."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.ops import linalg_power as power
from disttorch.testing.opspec.linalg import ANY, SQUARE, regular, row
from disttorch.testing.opspec.spec import OpSpec, complexes, floats, ints, sample

INF = float("inf")


def _slogdet(a: np.ndarray) -> tuple[Any, ...]:
    sign, size = np.linalg.slogdet(a)
    return sign, size


def _logdet(a: np.ndarray) -> np.ndarray:
    sign, size = np.linalg.slogdet(a)
    return np.log(sign) + size


DETERMINANTS = (
    row(
        "linalg_det",
        np.linalg.det,
        *SQUARE,
        sample(floats(1, 1)),
        sample(floats(0, 0)),
        aliases=("det",),
    ),
    row("linalg_slogdet", _slogdet, *SQUARE, aliases=("slogdet",)),
    row("logdet", _logdet, *SQUARE),
)


def _vector_norm(
    x: np.ndarray, ord: float = 2, dim: Any = None, keepdim: bool = False
) -> np.ndarray:
    size = np.abs(x)
    dim = tuple(range(x.ndim)) if dim is None else dim
    if ord == INF:
        return size.max(dim, keepdims=keepdim)
    if ord == 0:
        return (size != 0).sum(dim, keepdims=keepdim).astype(size.dtype)
    return (size**ord).sum(dim, keepdims=keepdim) ** (1 / ord)


def _matrix_norm(
    x: np.ndarray, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False
) -> np.ndarray:
    return np.asarray(np.linalg.norm(x, ord, tuple(dim), keepdim))


def _frobenius(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    return _vector_norm(x, 2, dim, keepdim)


NORMS = (
    OpSpec(
        "linalg_vector_norm",
        ref=_vector_norm,
        samples=(
            *(sample(floats(2, 3), p) for p in (2, 1, 3, INF, 0.5)),
            *(sample(floats()), sample(complexes(2, 2)), sample(floats(2, 0))),
            *(sample(floats(2, 3), 2, 1), sample(floats(2, 3), 1, (0, 1), keepdim=True)),
        ),
    ),
    row(
        "linalg_matrix_norm",
        _matrix_norm,
        *(sample(floats(2, 3), p) for p in ("fro", "nuc", 1, -1, 2, -2, INF, -INF)),
        *(sample(complexes(2, 2), 1), sample(floats(0, 2, 2), "nuc")),
        sample(floats(2, 2, 3), 1, (0, 2), keepdim=True),
    ),
    OpSpec(
        "linalg_norm",
        ref=lambda x, ord=None, dim=None: np.asarray(
            np.linalg.norm(x.reshape(-1) if ord is dim else x, ord, dim)
        ),
        samples=(
            *(sample(floats()), sample(floats(2, 2, 2)), sample(floats(2, 0))),
            *(sample(floats(2, 3), "nuc"), sample(floats(3), 1), sample(floats(2, 3), 2, 1)),
        ),
    ),
    row("linalg_cond", np.linalg.cond, *SQUARE[:2], sample(regular(2, 2), 1), sample(floats(3, 2)),
        sample(regular(2, 2), "fro"), sample(regular(0, 2, 2))),
    row("nuclear_norm", lambda x: np.linalg.svd(x, compute_uv=False).sum(-1), *ANY),
    OpSpec(
        "frobenius_norm",
        ref=_frobenius,
        samples=(sample(floats()), sample(floats(2, 3), 1), sample(floats(2, 0), 1)),
    ),
    row(
        "norm_except_dim",
        lambda v, p=2, dim=0: _vector_norm(v, p, 1 - dim, True),
        *(sample(floats(2, 3)), sample(floats(2, 3), 1, 1), sample(floats(2, 0))),
    ),
)  # fmt: skip


def _exponential(a: np.ndarray) -> np.ndarray:
    """By the power series, of a matrix halved until that is exact."""
    n_halvings = 10
    a = a / 2**n_halvings
    term = total = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    for k in range(1, 8):
        term = term @ a / k
        total = total + term
    for _ in range(n_halvings):
        total = total @ total
    return total


POWERS = (
    row(
        "linalg_matrix_power",
        np.linalg.matrix_power,
        *(sample(regular(2, 2), n) for n in (0, 1, 2, 3, -2)),
        sample(regular(0, 2, 2), 3),
        sample(regular(2, 2, dtype="complex128"), -1),
        aliases=("matrix_power",),
    ),
    row("linalg_matrix_exp", _exponential, *SQUARE, aliases=("matrix_exp",)),
    row(
        "linalg_multi_dot",
        np.linalg.multi_dot,
        sample([floats(2, 3), floats(3, 2), floats(2, 4)]),
        sample([floats(2), floats(2, 3), floats(3)]),
        sample([floats(2, 0), floats(0, 3)]),
    ),
    row(
        "chain_matmul",
        np.linalg.multi_dot,
        sample([floats(2, 3), floats(3, 2), floats(2, 1)]),
        sample([floats(2, 0), floats(0, 3)]),
        op=lambda matrices: power.chain_matmul(*matrices),
    ),
)


def _cross(x: np.ndarray, y: np.ndarray, dim: int = -1) -> np.ndarray:
    return np.cross(x, y, axis=dim)


PRODUCTS = (
    row(
        "linalg_cross",
        _cross,
        *(sample(floats(2, 3), floats(2, 3)), sample(floats(3, 2), floats(3, 1), dim=0)),
        *(sample(complexes(3), complexes(3)), sample(floats(0, 3), floats(0, 3))),
    ),
    row(
        "cross",
        lambda x, y: np.cross(x, y, axis=0),
        *(sample(floats(3, 2), floats(3, 2)), sample(floats(3, 0), floats(3, 0))),
    ),
    row(
        "linalg_vecdot",
        lambda x, y, dim=-1: (x.conj() * y).sum(dim),
        *(sample(floats(2, 3), floats(3)), sample(complexes(2, 2), complexes(2, 2), dim=0)),
        sample(floats(2, 0), floats(2, 0)),
    ),
    row(
        "linalg_matmul",
        np.matmul,
        *(sample(floats(2, 3), floats(3, 2)), sample(floats(2, 0), floats(0, 2))),
    ),
    row(
        "linalg_diagonal",
        lambda x: np.diagonal(x, 0, -2, -1),
        *(sample(floats(2, 3)), sample(floats(2, 2, 2)), sample(floats(0, 2, 2))),
    ),
    row(
        "linalg_vander",
        lambda x, N=None: x[..., None] ** np.arange(x.shape[-1] if N is None else N),
        *(sample(floats(3)), sample(floats(2, 2), N=3), sample(floats(0, 2))),
    ),
    row(
        "vander",
        np.vander,
        *(sample(floats(3)), sample(floats(2), 3, increasing=True), sample(floats(0), 2)),
    ),
    OpSpec(
        "cov",
        ref=lambda x, correction=1, fweights=None, aweights=None: np.cov(
            x, ddof=correction, fweights=fweights, aweights=aweights
        ),
        samples=(
            *(sample(floats(2, 4)), sample(floats(4)), sample(complexes(2, 3))),
            sample(floats(2, 3), correction=0, fweights=ints(3, low=1)),
            sample(floats(2, 3), aweights=floats(3, low=0.5)),
        ),
        skip={"0-d": "has no degrees of freedom", "empty": "the same"},
    ),
    OpSpec(
        "corrcoef",
        ref=np.corrcoef,
        samples=(sample(floats(2, 4)), sample(complexes(2, 3))),
        skip={"0-d": "has no degrees of freedom", "empty": "the same"},
    ),
)

SPECS = (*DETERMINANTS, *NORMS, *POWERS, *PRODUCTS)
