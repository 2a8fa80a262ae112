"""Systems with triangular matrices."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.ops.linalg_matrix import (
    adjoint,
    require_kernel,
    require_same_dtype,
    require_square,
)
from disttorch.ops.out import accepts_out
from disttorch.ops.shape_math import broadcast_shapes_checked
from disttorch.return_types import triangular_solve as TriangularSolveResult
from disttorch.tensor import Tensor

__all__ = ["linalg_solve_triangular", "triangular_solve"]

Array = Any


class SolveTriangular(Op):
    """x with ``a x = b``, a (..., n, n) triangular, b (..., n, k)."""

    torch_name = "LinalgSolveTriangularBackward0"

    def forward(ctx, a: Array, b: Array, upper: bool, unitriangular: bool = False) -> Array:
        ctx.save(0)
        ctx.save_output()
        ctx.upper, ctx.unitriangular = upper, unitriangular
        return ctx.backend.solve_triangular(a, b, upper, unitriangular)

    def backward(ctx, g: Any) -> Any:
        a, x = ctx.saved
        F = ctx.F
        uni = ctx.unitriangular
        gb = ctx.call(SolveTriangular, adjoint(F, a), g, upper=not ctx.upper, unitriangular=uni)
        if not ctx.needs_grad(0):
            return None, gb
        ga = -F.matmul(gb, adjoint(F, x))
        shift = int(uni)
        return (F.triu(ga, shift) if ctx.upper else F.tril(ga, -shift)), gb


def solved(a: Tensor, b: Tensor, upper: bool, left: bool = True, unit: bool = False) -> Tensor:
    """Solve ``a x = b``, or ``x a = b`` if not `left`."""
    if left:
        return SolveTriangular.apply(a, b, upper=upper, unitriangular=unit)
    x = SolveTriangular.apply(a.mT, b.mT, upper=not upper, unitriangular=unit)
    return x.mT


def check_systems(a: Tensor, b: Tensor, name: str, left: bool = True) -> None:
    """Raise unless the matrices b have the rows (or columns) that a asks for."""
    if b._array.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    (m, n), (rows, columns) = a._array.shape[-2:], b._array.shape[-2:]
    if (rows if left else columns) != (m if left else n):
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {equation} "
            f"({m}x{n} and {rows}x{columns})"
        )


def check_rows(a: Tensor, b: Tensor, name: str) -> None:
    """`check_systems` with the older text."""
    (m, n), (rows, columns) = a._array.shape[-2:], b._array.shape[-2:]
    if m != rows:
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {m} by {n} but each b matrix "
            f"is {rows} by {columns}"
        )


@public(function=False)
@accepts_out
def linalg_solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """X with ``A X = B`` (``X A = B`` if not `left`); A (*, n, n) triangular, B (*, n, k)."""
    name = "linalg.solve_triangular"
    require_same_dtype(A, B, name)
    require_square(A, name)
    check_systems(A, B, name, left)
    require_kernel(A, "triangular_solve_cpu")
    broadcast_shapes_checked(A._array.shape[:-2], B._array.shape[:-2])
    return solved(A, B, upper, left, unitriangular)


@public(method=True)
@accepts_out
def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Any:
    """Solve ``A X = input`` for a triangular A; (solution, cloned_coefficient).

    Raises RuntimeError for shapes and dtypes that do not fit.
    """
    name = "torch.triangular_solve"
    for which, t in (("b", input), ("A", A)):
        if t._array.ndim < 2:
            raise RuntimeError(
                f"{name}: Expected {which} to have at least 2 dimensions, but it has "
                f"{t._array.ndim} dimensions instead"
            )
    require_square(A, "triangular_solve")
    check_rows(A, input, "triangular_solve")
    batch = broadcast_shapes_checked(A._array.shape[:-2], input._array.shape[:-2])
    coefficient = A.expand(*batch, *A._array.shape[-2:]).clone()
    matrix = A.mT if transpose else A
    x = solved(matrix, input, upper != transpose, unit=unitriangular)
    return TriangularSolveResult((x, coefficient))
