"""LDL factorisations of symmetric and Hermitian matrices; not differentiable, as in PyTorch."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.linalg_matrix import (
    check_info,
    require_floating,
    require_kernel,
    require_square,
)
from disttorch.ops.linalg_triangular import check_rows
from disttorch.ops.out import accepts_out
from disttorch.ops.shape_math import broadcast_shapes_checked
from disttorch.return_types import linalg_ldl_factor as FactorResult
from disttorch.return_types import linalg_ldl_factor_ex as FactorExResult
from disttorch.tensor import Tensor

__all__ = ["linalg_ldl_factor", "linalg_ldl_factor_ex", "linalg_ldl_solve"]

Array = Any

_ZERO = "D[{0},{0}] is zero, and using it on ldl_solve would result in a division by zero."


class LdlFactor(Op):
    """Packed L and D, pivots and which block of D is zero."""

    differentiable = False

    def forward(ctx, a: Array, hermitian: bool) -> tuple[Array, Array, Array]:
        return ctx.backend.ldl_factor(a, hermitian and a.dtype.kind == "c")


class LdlSolve(Op):
    """x with ``a x = b`` from a's packed L and D."""

    differentiable = False

    def forward(ctx, packed: Array, pivots: Array, b: Array, hermitian: bool) -> Array:
        return ctx.backend.ldl_solve(packed, pivots, b, hermitian and b.dtype.kind == "c")


@public(function=False)
@accepts_out
def linalg_ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """(LD, pivots, info) of (*, n, n), of which the lower triangle is read.

    `hermitian`: ``A = L D L^H``, else ``L D L^T``, with permutations. A zero block raises
    RuntimeError only if `check_errors`.
    """
    name = "torch.linalg.ldl_factor_ex"
    require_square(A, name)
    require_floating(A, name, "ldl_factor_kernel_cpu")
    packed, pivots, info = LdlFactor.apply(A, hermitian=hermitian)
    if check_errors:
        check_info(info, name, _ZERO, RuntimeError)
    return FactorExResult((packed, pivots, info))


@public(function=False)
@accepts_out
def linalg_ldl_factor(A: Tensor, *, hermitian: bool = False) -> Any:
    """(LD, pivots) of (*, n, n); RuntimeError if D has a zero block."""
    packed, pivots, info = linalg_ldl_factor_ex(A, hermitian=hermitian)
    check_info(info, "torch.linalg.ldl_factor", _ZERO, RuntimeError)
    return FactorResult((packed, pivots))


@public(function=False)
@accepts_out
def linalg_ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """X with ``A X = B``, given ``ldl_factor(A)``; B is (*, n, k)."""
    name = "torch.linalg.ldl_solve"
    require_square(LD, name, "LD")
    require_kernel(LD, "ldl_solve_kernel_cpu")
    if B.ndim < 2:
        raise RuntimeError(
            f"{name}: Expected B to have at least 2 dimensions, but it has {B.ndim} dimensions "
            "instead"
        )
    check_rows(LD, B, name)
    if pivots._array.shape != LD._array.shape[:-1]:
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with "
            f"shape {list(pivots.shape)} instead"
        )
    if pivots.dtype.name != "int32":
        raise RuntimeError(
            f"{name}: Expected pivots to be integers. Got {TYPE_NAMES[pivots.dtype]}"
        )
    batch = broadcast_shapes_checked(LD._array.shape[:-2], B._array.shape[:-2])
    n = LD._array.shape[-1]
    return LdlSolve.apply(
        LD.expand(*batch, n, n),
        pivots.expand(*batch, n),
        B.expand(*batch, *B._array.shape[-2:]),
        hermitian=hermitian,
    )
