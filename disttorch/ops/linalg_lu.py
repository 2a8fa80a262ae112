"""LU factorisations with row exchanges, and what is solved with them."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.ops.linalg_matrix import (
    LU,
    adjoint,
    check_info,
    require_kernel,
    require_same_dtype,
    require_square,
)
from disttorch.ops.linalg_triangular import SolveTriangular, check_rows, check_systems, solved
from disttorch.ops.out import accepts_out
from disttorch.ops.shape_math import broadcast_shapes_checked
from disttorch.ops.shape_region import BasicIndex
from disttorch.return_types import linalg_lu as LuResult
from disttorch.return_types import linalg_lu_factor as FactorResult
from disttorch.return_types import linalg_lu_factor_ex as FactorExResult
from disttorch.return_types import lu_unpack as UnpackResult
from disttorch.tensor import Tensor

__all__ = [
    *("linalg_lu", "linalg_lu_factor", "linalg_lu_factor_ex", "linalg_lu_solve", "lu"),
    *("lu_solve", "lu_unpack"),
]

Array = Any


def _triangles(ctx: Op, lu: Any, m: int, n: int) -> tuple[Any, Any]:
    """Unit lower (..., m, k) and upper (..., k, n) triangle of a packed factorisation."""
    F, k = ctx.F, min(m, n)
    eye = ctx.constant(ctx.xp.eye(m, k, dtype=getattr(lu, "_array", lu).dtype))
    low = ctx.call(BasicIndex, lu, index=(Ellipsis, slice(k)))
    high = ctx.call(BasicIndex, lu, index=(Ellipsis, slice(k), slice(None)))
    return F.tril(low, -1) + eye, F.triu(high)


class LuFactor(Op):
    """Packed L and U of a (..., m, n), the row exchanges, and which element of U is zero."""

    torch_name = "LinalgLuFactorExBackward0"
    non_differentiable_outputs = (1, 2)

    def forward(ctx, a: Array) -> tuple[Array, Array, Array]:
        packed, pivots, info = ctx.backend.lu_factor(a)
        ctx.save_output()
        ctx.pivots = pivots
        return packed, pivots, info

    def backward(ctx, g: Any, *_: Any) -> Any:
        (packed,) = ctx.saved
        F, (m, n) = ctx.F, packed.shape[-2:]
        k = min(m, n)
        low, high = _triangles(ctx, packed, m, n)
        g_low = F.tril(ctx.call(BasicIndex, g, index=(Ellipsis, slice(k))), -1)
        g_high = F.triu(ctx.call(BasicIndex, g, index=(Ellipsis, slice(k), slice(None))))
        ga = ctx._tall(low, high, g_low, g_high) if m >= n else None
        ga = ctx._wide(low, high, g_low, g_high) if ga is None else ga
        order = ctx.backend.pivot_permutation(ctx.pivots, m)
        back = ctx.constant(ctx.xp.argsort(order, axis=-1))
        return ctx.call(TakeRows, ga, back)

    def _square(ctx, low: Any, high: Any, g_low: Any, g_high: Any) -> Any:
        F = ctx.F
        h_low, h_high = adjoint(F, low), adjoint(F, high)
        inner = F.tril(F.matmul(h_low, g_low), -1) + F.triu(F.matmul(g_high, h_high))
        inner = ctx.call(SolveTriangular, h_low, inner, upper=True, unitriangular=True)
        return adjoint(F, ctx.call(SolveTriangular, high, adjoint(F, inner), upper=True))

    def _tall(ctx, low: Any, high: Any, g_low: Any, g_high: Any) -> Any:
        """Rows below the square part are ``rest high = a_rest``."""
        F, n, m = ctx.F, high.shape[-1], low.shape[-2]
        if m == n:
            return ctx._square(low, high, g_low, g_high)
        square, rest = (slice(n), slice(None)), (slice(n, m), slice(None))
        parts = [
            ctx.call(BasicIndex, t, index=(..., *p)) for t in (low, g_low) for p in (square, rest)
        ]
        low1, low2, g_low1, g_low2 = parts
        ga2 = adjoint(F, ctx.call(SolveTriangular, high, adjoint(F, g_low2), upper=True))
        g_high = F.triu(g_high - F.matmul(adjoint(F, low2), ga2))
        return F.cat([ctx._square(low1, high, g_low1, g_high), ga2], ga2.ndim - 2)

    def _wide(ctx, low: Any, high: Any, g_low: Any, g_high: Any) -> Any:
        """Columns beyond the square part are ``low rest = a_rest``."""
        F, m, n = ctx.F, low.shape[-2], high.shape[-1]
        ranges = (slice(m), slice(m, n))
        parts = [ctx.call(BasicIndex, t, index=(..., p)) for t in (high, g_high) for p in ranges]
        high1, high2, g_high1, g_high2 = parts
        h_low = adjoint(F, low)
        ga2 = ctx.call(SolveTriangular, h_low, g_high2, upper=True, unitriangular=True)
        g_low = F.tril(g_low - F.matmul(ga2, adjoint(F, high2)), -1)
        return F.cat([ctx._square(low, high1, g_low, g_high1), ga2], ga2.ndim - 1)


class TakeRows(Op):
    """Rows of x (..., m, n) in the order (..., m), a permutation."""

    torch_name = "PermuteBackward0"

    def forward(ctx, x: Array, order: Array) -> Array:
        ctx.save(1)
        return ctx.xp.take_along_axis(x, order[..., None], -2)

    def backward(ctx, g: Any) -> Any:
        (order,) = ctx.saved
        back = ctx.xp.argsort(getattr(order, "_array", order), axis=-1)
        return ctx.call(TakeRows, g, ctx.constant(back)), None


def _factored(A: Tensor, pivot: bool, name: str) -> tuple[Tensor, Tensor, Tensor]:
    if A._array.ndim < 2:
        raise RuntimeError(
            f"{name}: Expected tensor with 2 or more dimensions. Got size: {list(A.shape)} instead"
        )
    require_kernel(A, "lu_cpu")
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    return LuFactor.apply(A)


@public(function=False)
@accepts_out
def linalg_lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """(LU, pivots, info) of (*, m, n); a zero in U raises only if `check_errors`."""
    packed, pivots, info = _factored(A, pivot, "torch.lu_factor")
    if check_errors:
        check_info(info, "torch.linalg.lu_factor_ex", LU, RuntimeError)
    return FactorExResult((packed, pivots, info))


@public(function=False)
@accepts_out
def linalg_lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """(LU, pivots): both triangles of (*, m, n) in one matrix, pivots (*, k) int32 from 1.

    Raises RuntimeError if U has a zero on its diagonal.
    """
    packed, pivots, info = _factored(A, pivot, "torch.lu_factor")
    check_info(info, "torch.linalg.lu_factor", LU, RuntimeError)
    return FactorResult((packed, pivots))


@public(method=True)
@accepts_out
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """(LU, pivots), with info if `get_infos`; see ``linalg.lu_factor``."""
    result = _factored(A, pivot, "torch.lu_factor")
    if get_infos:
        return result
    check_info(result[2], "torch.linalg.lu_factor", LU, RuntimeError)
    return result[:2]


# ---- unpacked ------------------------------------------------------------------------------------


def _permutation(pivots: Tensor, n_rows: int, like: Tensor) -> Tensor:
    """The matrix P (*, m, m) of the exchanges, with ``A = P L U``."""
    backend = pivots.backend
    order = backend.pivot_permutation(pivots._array, n_rows)
    eye = backend.xp.eye(n_rows, dtype=like._array.dtype)
    return Tensor._wrap(backend.xp.ascontiguousarray(backend.xp.swapaxes(eye[order], -2, -1)))


def _unpacked(packed: Tensor) -> tuple[Tensor, Tensor]:
    m, n = packed._array.shape[-2:]
    k = min(m, n)
    one = Tensor._wrap(packed.backend.xp.eye(m, k, dtype=packed._array.dtype))
    low = packed[..., :k].tril(-1) + one
    return low, packed[..., :k, :].triu()


@public()
@accepts_out
def lu_unpack(
    LU_data: Tensor,
    LU_pivots: Tensor,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
) -> Any:
    """(P, L, U) from the packed form and its pivots; empty tensors for what is not wanted."""
    if LU_pivots.dtype.name != "int32":
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 "
            "dtype.\nNote: this function is intended to be used with the output produced by "
            "torch.linalg.lu_factor"
        )
    low = high = p = LU_data.new_empty(0)
    if unpack_data:
        low, high = _unpacked(LU_data)
    if unpack_pivots:
        p = _permutation(LU_pivots, LU_data._array.shape[-2], LU_data)
    return UnpackResult((p, low, high))


@public(function=False)
@accepts_out
def linalg_lu(A: Tensor, *, pivot: bool = True) -> Any:
    """(P, L, U) with ``A = P L U``; A (*, m, n), L (*, m, k), U (*, k, n), k = min(m, n)."""
    packed, pivots, _ = _factored(A, pivot, "linalg.lu")
    low, high = _unpacked(packed)
    return LuResult((_permutation(pivots, A._array.shape[-2], A), low, high))


# ---- systems -------------------------------------------------------------------------------------


def _solved(packed: Tensor, pivots: Tensor, B: Tensor, left: bool, conjugate: bool) -> Tensor:
    if not left:  # x a = b is a^H x^H = b^H
        return _solved(packed, pivots, B.mH, True, not conjugate).mH
    p = _permutation(pivots, packed._array.shape[-2], packed)
    if conjugate:
        half = solved(packed.mH, B, upper=False)
        return p @ solved(packed.mH, half, upper=True, unit=True)
    half = solved(packed, p.mT @ B, upper=False, unit=True)
    return solved(packed, half, upper=True)


@public(function=False)
@accepts_out
def linalg_lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """X with ``A X = B``, or ``A^H X = B`` if `adjoint`, ``X A = B`` if not `left`.

    A (*, n, n) is given by ``linalg.lu_factor``; B is (*, n, k).
    """
    name = "linalg.lu_solve"
    require_kernel(LU, "lu_solve_cpu")
    if pivots.dtype.name != "int32":
        raise RuntimeError(f"{name}: pivots should be a Tensor of scalar type torch.int32")
    require_same_dtype(LU, B, name)
    require_square(LU, name, "LU")
    check_systems(LU, B, name, left)
    if LU._array.shape[:-1] != pivots._array.shape:
        raise RuntimeError(
            f"{name}: Number of pivots per batch should be same as the dimension of the matrix"
        )
    broadcast_shapes_checked(LU._array.shape[:-2], B._array.shape[:-2])
    return _solved(LU, pivots, B, left, adjoint)


@public(method=True)
@accepts_out
def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """X with ``A X = b``, given A's factorisation; see ``linalg.lu_solve``."""
    require_square(LU_data, "linalg.lu_solve", "LU")
    check_rows(LU_data, b, "lu_solve")
    return _solved(LU_data, LU_pivots, b, True, False)
