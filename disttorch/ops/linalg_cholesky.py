"""Cholesky factors of positive-definite matrices, and what is solved with them."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.ops.linalg_matrix import (
    CHOLESKY,
    INVERSE,
    IdentityLike,
    adjoint,
    as_diagonal,
    check_info,
    diagonal_of,
    require_floating,
    require_kernel,
    require_matrix,
    require_same_dtype,
    require_square,
)
from disttorch.ops.linalg_triangular import SolveTriangular, check_rows, solved
from disttorch.ops.out import accepts_out
from disttorch.ops.shape_math import broadcast_shapes_checked
from disttorch.return_types import linalg_cholesky_ex as CholeskyResult
from disttorch.tensor import Tensor

__all__ = [
    *("cholesky", "cholesky_inverse", "cholesky_solve", "linalg_cholesky", "linalg_cholesky_ex"),
]

Array = Any


class Cholesky(Op):
    """Lower factor of a (..., n, n), and the order of the first minor that is not positive."""

    torch_name = "LinalgCholeskyExBackward0"
    non_differentiable_outputs = (1,)

    def forward(ctx, a: Array) -> tuple[Array, Array]:
        ctx.save_output()
        return ctx.backend.cholesky(a)

    def backward(ctx, g: Any, _: Any) -> Any:
        (y,) = ctx.saved
        F = ctx.F
        h = adjoint(F, y)
        inner = F.matmul(h, g)
        half = F.tril(inner) - 0.5 * as_diagonal(ctx, diagonal_of(ctx, inner))
        left = ctx.call(SolveTriangular, h, half, upper=True)
        both = adjoint(F, ctx.call(SolveTriangular, h, adjoint(F, left), upper=True))
        return 0.5 * (both + adjoint(F, both))


def _factor(A: Tensor, upper: bool, name: str) -> tuple[Tensor, Tensor]:
    require_square(A, name)
    require_kernel(A, "cholesky_cpu")
    if upper:  # the upper triangle is read, and the factor is the adjoint
        factor, info = Cholesky.apply(A.mH)
        return factor.mH, info
    return Cholesky.apply(A)


@public(function=False)
@accepts_out
def linalg_cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """Cholesky factor of (*, n, n) and info (*); a bad matrix raises only if `check_errors`."""
    if A._array.dtype.kind not in "fcV":
        require_floating(A, "linalg.cholesky")
    factor, info = _factor(A, upper, "linalg.cholesky")
    if check_errors:
        check_info(info, "linalg.cholesky_ex", CHOLESKY)
    return CholeskyResult((factor, info))


@public(function=False)
@accepts_out
def linalg_cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """L with ``A = L L^H`` (U with ``A = U^H U`` if `upper`) for positive-definite (*, n, n).

    Raises LinAlgError for other matrices.
    """
    factor, info = linalg_cholesky_ex(A, upper=upper)
    check_info(info, "linalg.cholesky", CHOLESKY)
    return factor


@public(method=True)
@accepts_out
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """Cholesky factor of positive-definite matrices; see ``linalg.cholesky``."""
    factor, info = _factor(input, upper, "cholesky")
    check_info(info, "cholesky", CHOLESKY)
    return factor


@public(method=True)
@accepts_out
def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X with ``A X = input``, given A's Cholesky factor (*, n, n) and input (*, n, k)."""
    for which, t in (("b", input), ("u", L)):
        if t._array.ndim < 2:
            raise RuntimeError(
                f"{which} should have at least 2 dimensions, but has {t._array.ndim} dimensions "
                "instead"
            )
    require_square(L, "cholesky_solve")
    check_rows(L, input, "cholesky_solve")
    require_same_dtype(L, input, "cholesky_solve")
    require_kernel(L, "cholesky_solve_cpu")
    broadcast_shapes_checked(L._array.shape[:-2], input._array.shape[:-2])
    lower = L.mH if upper else L
    return solved(lower.mH, solved(lower, input, upper=False), upper=True)


@public(method=True)
@accepts_out
def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """Inverse of A, given its Cholesky factor (*, n, n); LinAlgError if that is singular."""
    require_matrix(input, "cholesky_inverse")
    require_square(input, "cholesky_inverse")
    require_kernel(input, "cholesky_inverse_out_cpu")
    _refuse_singular(input)
    lower = input.mH if upper else input
    half = solved(lower, IdentityLike.apply(lower), upper=False)
    return half.mH @ half


def _refuse_singular(factor: Tensor) -> None:
    backend = factor.backend
    diagonal = backend.xp.diagonal(factor._array, 0, -2, -1)
    check_info(Tensor._wrap(backend._first_zero(diagonal)), "cholesky_inverse", INVERSE)
