"""Approximate singular values of large matrices, from random projections."""

from __future__ import annotations

from disttorch.autograd.op import public
from disttorch.ops.create_random import randn
from disttorch.ops.linalg_qr import linalg_qr
from disttorch.ops.linalg_svd import linalg_svd
from disttorch.ops.matmul import matmul
from disttorch.tensor import Tensor

__all__ = ["pca_lowrank", "svd_lowrank"]

Decomposition = tuple[Tensor, Tensor, Tensor]


def _basis(A: Tensor, q: int, niter: int) -> Tensor:
    """Orthonormal columns that nearly span the q largest directions of A (*, m, n).

    Halko, Martinsson and Tropp, "Finding structure with randomness" (2009), algorithm 4.4.
    """
    start = randn(A._array.shape[-1], q, dtype=A.dtype, device=A.device)
    basis = linalg_qr(matmul(A, start)).Q
    for _ in range(niter):
        basis = linalg_qr(matmul(A.mH, basis)).Q
        basis = linalg_qr(matmul(A, basis)).Q
    return basis


def _decomposed(A: Tensor, q: int, niter: int) -> Decomposition:
    m, n = A._array.shape[-2:]
    tall = A if m >= n else A.mH
    basis = _basis(tall, q, niter)
    u, s, vh = linalg_svd(matmul(basis.mH, tall), full_matrices=False)
    left, right = matmul(basis, u), vh.mH
    return (left, s, right) if m >= n else (right, s, left)


@public()
def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> Decomposition:
    """(U, S, V) with ``U diag(S) V^H`` near A - M; A (*, m, n), U (*, m, q), V (*, n, q).

    `niter` rounds of subspace iteration make the q largest singular values more exact.
    """
    if M is not None:
        A = A - M.broadcast_to(A._array.shape)
    return _decomposed(A, 6 if q is None else q, 2 if niter is None else niter)


@public()
def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> Decomposition:
    """(U, S, V) of the principal components of samples A (*, m, n), columns centred if `center`.

    Raises ValueError for q outside [0, min(m, n)] and negative `niter`.
    """
    m, n = A._array.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    if center:
        A = A - A.mean(-2, keepdim=True)
    return _decomposed(A, q, niter)
