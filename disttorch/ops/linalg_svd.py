"""Singular values and vectors."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.errors import LinAlgError
from disttorch.ops.linalg_eig import refuse_phase
from disttorch.ops.linalg_matrix import (
    PartialGrads,
    adjoint,
    as_diagonal,
    diagonal_of,
    differences,
    require_floating,
    require_matrix,
)
from disttorch.ops.out import accepts_out
from disttorch.ops.shape_region import BasicIndex
from disttorch.return_types import linalg_svd as SvdResult
from disttorch.return_types import svd as OldSvdResult
from disttorch.tensor import Tensor

__all__ = ["linalg_svd", "linalg_svdvals", "svd"]

Array = Any

_PHASE = (
    "svd_backward: The singular vectors in the complex case are specified up to multiplication by "
    "e^{i phi}. The specified loss function depends on this phase term, making it ill-defined."
)
_NOT_FINITE = (
    "linalg.svd: The algorithm failed to converge because the input matrix contained non-finite "
    "values."
)


class Svd(PartialGrads):
    """a (..., m, n) = u * s @ vh with k = min(m, n) singular values, descending."""

    torch_name = "LinalgSvdBackward0"

    def forward(ctx, a: Array, full: bool) -> tuple[Array, Array, Array]:
        ctx.save_output(0, 1, 2)
        u, s, vh = ctx.xp.linalg.svd(a, full_matrices=full)
        return u, s, vh

    def backward(ctx, gu: Any, gs: Any, gvh: Any) -> Any:
        u, s, vh = ctx.saved
        F, k = ctx.F, s.shape[-1]
        u, gu = (_leading(ctx, t, -1, k) for t in (u, gu))
        vh, gvh = (_leading(ctx, t, -2, k) for t in (vh, gvh))
        if gu is None and gvh is None:
            return None if gs is None else F.matmul(u * F.unsqueeze(gs, -2), vh)
        inner = ctx._inner(u, s, vh, gu, gvh)
        if gs is not None:
            inner = inner + as_diagonal(ctx, gs)
        ga = F.matmul(F.matmul(u, inner), vh)
        if gu is not None and u.shape[-2] > k:
            outside = gu / F.unsqueeze(s, -2)
            outside = outside - F.matmul(u, F.matmul(adjoint(F, u), outside))
            ga = ga + F.matmul(outside, vh)
        if gvh is not None and vh.shape[-1] > k:
            outside = gvh / F.unsqueeze(s, -1)
            outside = outside - F.matmul(F.matmul(outside, adjoint(F, vh)), vh)
            ga = ga + F.matmul(u, outside)
        return ga

    def _inner(ctx, u: Any, s: Any, vh: Any, gu: Any, gvh: Any) -> Any:
        """What the rotations of the vectors within their own span contribute."""
        F = ctx.F
        gaps = differences(ctx, s * s)
        inner = phase = 0
        spin = None
        if gu is not None:
            turn = F.matmul(adjoint(F, u), gu)
            turn = turn - adjoint(F, turn)
            phase = spin = diagonal_of(ctx, turn)
            inner = turn / gaps * F.unsqueeze(s, -2)
        if gvh is not None:
            turn = F.matmul(vh, adjoint(F, gvh))
            turn = turn - adjoint(F, turn)
            phase = phase + diagonal_of(ctx, turn)
            inner = inner + F.unsqueeze(s, -1) * (turn / gaps)
        if u.dtype == s.dtype:
            return inner
        refuse_phase(ctx, phase, _PHASE)
        return inner if spin is None else inner + as_diagonal(ctx, spin / (2 * s))


def _leading(ctx: Op, x: Any, dim: int, k: int) -> Any:
    """The first k positions of one of the last two dimensions."""
    if x is None or x.shape[dim] == k:
        return x
    index = (Ellipsis, slice(k)) if dim == -1 else (Ellipsis, slice(k), slice(None))
    return ctx.call(BasicIndex, x, index=index)


class Svdvals(Op):
    """Singular values (..., k) of a (..., m, n), descending."""

    torch_name = "LinalgSvdBackward0"

    def forward(ctx, a: Array) -> Array:
        ctx.save(0)
        return ctx.xp.linalg.svd(a, compute_uv=False)

    def backward(ctx, g: Any) -> Any:
        (a,) = ctx.saved
        u, _, vh = ctx.call(Svd, a, full=False)
        return ctx.F.matmul(u * ctx.F.unsqueeze(g, -2), vh)


def _check(A: Tensor, driver: str | None = None) -> None:
    require_matrix(A, "linalg.svd")
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with "
            "cuSOLVER backend."
        )
    require_floating(A, "linalg.svd", "linalg_svd_cpu")
    if not bool(A.backend.xp.isfinite(A._array).all()):
        raise LinAlgError(_NOT_FINITE)


@public(function=False)
@accepts_out
def linalg_svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """(U, S, Vh) with ``A = U diag(S) Vh``; A (*, m, n), S (*, min(m, n)) descending.

    U and Vh are square, or of min(m, n) columns and rows without `full_matrices`.
    """
    _check(A, driver)
    return SvdResult(Svd.apply(A, full=full_matrices))


@public(function=False)
@accepts_out
def linalg_svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """Singular values (*, min(m, n)), descending, of (*, m, n)."""
    _check(A, driver)
    return Svdvals.apply(A)


@public(method=True)
@accepts_out
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """(U, S, V) with ``input = U diag(S) V^H``, V not transposed; see ``linalg.svd``.

    Without `compute_uv` U and V are square and zero.
    """
    if input._array.ndim < 2:
        raise RuntimeError(
            "linalg.svd: input should have at least 2 dimensions, but has "
            f"{input._array.ndim} dimensions instead"
        )
    _check(input)
    if compute_uv:
        u, s, vh = Svd.apply(input, full=not some)
        return OldSvdResult((u, s, vh.mH))
    batch, (m, n) = input._array.shape[:-2], input._array.shape[-2:]
    zeros = (input.new_zeros((*batch, k, k)) for k in (m, n))
    u, v = zeros
    return OldSvdResult((u, Svdvals.apply(input), v))
