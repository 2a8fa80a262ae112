"""QR decompositions and products of Householder reflections."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.linalg_matrix import (
    IdentityLike,
    PartialGrads,
    adjoint,
    as_diagonal,
    diagonal_of,
    require_floating,
    require_kernel,
    require_matrix,
)
from disttorch.ops.linalg_triangular import SolveTriangular
from disttorch.ops.out import accepts_out
from disttorch.ops.shape_region import BasicIndex
from disttorch.return_types import geqrf as GeqrfResult
from disttorch.return_types import linalg_qr as LinalgQrResult
from disttorch.return_types import qr as QrResult
from disttorch.tensor import Tensor

__all__ = ["geqrf", "linalg_householder_product", "linalg_qr", "orgqr", "ormqr", "qr"]

Array = Any

_NO_Q = (
    "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use "
    "linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr."
)
_COMPLETE = "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."


class Qr(PartialGrads):
    """a (..., m, n) = q r, q with orthonormal columns and r upper triangular."""

    torch_name = "LinalgQrBackward0"

    def forward(ctx, a: Array, mode: str) -> tuple[Array, Array]:
        ctx.mode, ctx.shape = mode, a.shape[-2:]
        ctx.save_output(0, 1)
        xp = ctx.xp
        if mode == "r":
            return xp.zeros(0, a.dtype), xp.linalg.qr(a, mode="r")
        q, r = xp.linalg.qr(a, mode=mode)
        return q, r

    def backward(ctx, gq: Any, gr: Any) -> Any:
        if ctx.mode == "r":
            raise RuntimeError(_NO_Q)
        m, n = ctx.shape
        if ctx.mode == "complete" and m > n:
            raise RuntimeError(_COMPLETE)
        if gq is None and gr is None:
            return None
        q, r = ctx.saved
        F = ctx.F
        if m >= n:
            return _through_square(ctx, q, r, gq, gr)
        # The columns beyond the first m are r's times q.
        first, rest = (
            ctx.call(BasicIndex, r, index=(Ellipsis, part)) for part in (slice(m), slice(m, n))
        )
        if gr is None:
            ga = _through_square(ctx, q, first, gq, None)
            zeros = F.zeros_like(F.matmul(q, rest))
            return F.cat([ga, zeros], ga.ndim - 1)
        g_first, g_rest = (
            ctx.call(BasicIndex, gr, index=(Ellipsis, part)) for part in (slice(m), slice(m, n))
        )
        more = F.matmul(F.matmul(q, rest), adjoint(F, g_rest))
        ga = _through_square(ctx, q, first, more if gq is None else gq + more, g_first)
        return F.cat([ga, F.matmul(q, g_rest)], ga.ndim - 1)


def _through_square(ctx: Op, q: Any, r: Any, gq: Any, gr: Any) -> Any:
    """Gradient of a = q r for r square."""
    F = ctx.F
    inner = 0
    if gr is not None:
        inner = F.matmul(r, adjoint(F, gr))
    if gq is not None:
        inner = inner - F.matmul(adjoint(F, gq), q)
    low = F.tril(inner, -1)
    inner = low + adjoint(F, low) + as_diagonal(ctx, F.real(diagonal_of(ctx, inner)))
    ga = F.matmul(q, inner)
    ga = ga if gq is None else ga + gq
    return adjoint(F, ctx.call(SolveTriangular, r, adjoint(F, ga), upper=True))


@public(function=False)
@accepts_out
def linalg_qr(A: Tensor, mode: str = "reduced") -> Any:
    """(Q, R) with ``A = Q R``; A (*, m, n), R upper triangular.

    `mode`: "reduced": Q (*, m, k), k = min(m, n); "complete": Q (*, m, m); "r": Q is empty.
    """
    require_matrix(A, "linalg.qr")
    require_floating(A, "linalg.qr", "geqrf_cpu")
    if mode not in ("reduced", "r", "complete"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
            "'r', or 'complete'"
        )
    return LinalgQrResult(Qr.apply(A, mode=mode))


@public(method=True)
@accepts_out
def qr(input: Tensor, some: bool = True) -> Any:
    """(Q, R) with ``input = Q R``; reduced if `some`, else complete; see ``linalg.qr``."""
    return QrResult(linalg_qr(input, "reduced" if some else "complete"))


# ---- reflections ---------------------------------------------------------------------------------


class Geqrf(Op):
    """R above the diagonal, Householder vectors below it, and their factors tau."""

    differentiable = False

    def forward(ctx, a: Array) -> tuple[Array, Array]:
        xp = ctx.xp
        m, n = a.shape[-2:]
        if not a.size:
            return a.copy(), xp.zeros((*a.shape[:-2], min(m, n)), a.dtype)
        flat = a.reshape((-1, m, n))
        pairs = [xp.linalg.qr(flat[i], mode="raw") for i in range(flat.shape[0])]
        packed = xp.stack([xp.swapaxes(h, -2, -1) for h, _ in pairs]).reshape(a.shape)
        return packed, xp.stack([tau for _, tau in pairs]).reshape((*a.shape[:-2], min(m, n)))


@public(method=True)
@accepts_out
def geqrf(input: Tensor) -> Any:
    """(a, tau): R on and above the diagonal of a, Householder vectors below it.

    input is (*, m, n) and tau (*, min(m, n)); not differentiable.
    """
    if input._array.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    require_kernel(input, "geqrf_cpu")
    return GeqrfResult(Geqrf.apply(input))


def _check_reflections(A: Tensor, tau: Tensor, name: str) -> None:
    a, t = A._array.shape, tau._array.shape
    if len(a) < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if a[-2] < a[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if a[-1] < t[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    if len(a) - len(t) != 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal "
            f"to {len(t)} and input.ndim is equal to {len(a)}"
        )
    if t[:-1] != a[:-2]:
        raise RuntimeError(
            f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got "
            f"{list(t[:-1])}"
        )
    if A.dtype is not tau.dtype:
        raise RuntimeError(
            f"{name}: tau dtype {TYPE_NAMES[tau.dtype]} does not match input dtype "
            f"{TYPE_NAMES[A.dtype]}"
        )
    require_kernel(A, "orgqr_cpu")


def _vectors(A: Tensor) -> Tensor:
    """Householder vectors as columns: what is below the diagonal, and ones on it."""
    m, n = A._array.shape[-2:]
    one = Tensor._wrap(A.backend.xp.eye(m, n, dtype=A._array.dtype))
    return A.tril(-1) + one


def _reflected(x: Tensor, vectors: Tensor, tau: Tensor, i: int) -> Tensor:
    """Apply the reflection ``1 - tau[i] v v^H`` from the left."""
    v = vectors[..., i : i + 1]
    return x - (tau[..., i, None, None] * v) @ (v.mH @ x)


def _householder_product(A: Tensor, tau: Tensor) -> Tensor:
    _check_reflections(A, tau, "torch.linalg.householder_product")
    vectors = _vectors(A)
    product = IdentityLike.apply(A)
    for i in reversed(range(tau._array.shape[-1])):
        product = _reflected(product, vectors, tau, i)
    return product


@public(function=False)
@accepts_out
def linalg_householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """First n columns of the product of reflections ``1 - tau[i] v_i v_i^H``.

    A (*, m, n) has the vectors below its diagonal, tau is (*, k) with k <= n <= m.
    """
    return _householder_product(A, tau)


@public(method=True)
@accepts_out
def orgqr(input: Tensor, tau: Tensor) -> Tensor:
    """Q from the vectors and factors of `geqrf`; see ``linalg.householder_product``."""
    return _householder_product(input, tau)


def _check_product(a: Tensor, tau: Tensor, other: Tensor, left: bool) -> None:
    name, side = "torch.ormqr", -2 if left else -1
    if a._array.ndim < 2 or other._array.ndim < 2:
        which = "input" if a._array.ndim < 2 else "other"
        raise RuntimeError(f"{name}: {which} must have at least 2 dimensions.")
    length, k = other._array.shape[side], tau._array.shape[-1]
    if length < k:
        raise RuntimeError(
            f"{name}: other.shape[{side}] must be greater than or equal to tau.shape[-1]"
        )
    if length != a._array.shape[-2]:
        raise RuntimeError(f"{name}: other.shape[{side}] must be equal to input.shape[-2]")
    if k != min(length, a._array.shape[-1]):
        raise RuntimeError(
            f"{name}: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])"
        )
    for which, t in (("tau", tau), ("other", other)):
        if t.dtype is not a.dtype:
            raise RuntimeError(
                f"{name}: Expected input and {which} to have the same dtype, but input has dtype "
                f"{TYPE_NAMES[a.dtype]} and {which} has dtype {TYPE_NAMES[t.dtype]}"
            )


@public(method=True)
@accepts_out
def ormqr(
    input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False
) -> Tensor:
    """``Q other`` (``other Q`` if not `left`), Q from `geqrf` in full, or its adjoint."""
    _check_product(input, tau, other, left)
    vectors = _vectors(input)
    k = tau._array.shape[-1]
    x = other if left else other.mH
    adjoint_wanted = transpose if left else not transpose
    factors = tau.conj() if adjoint_wanted else tau
    for i in range(k) if adjoint_wanted else reversed(range(k)):
        x = _reflected(x, vectors, factors, i)
    return x if left else x.mH
