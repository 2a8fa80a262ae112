"""Inverses and linear systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.ops.linalg_matrix import (
    INVERSE,
    SOLVE,
    adjoint,
    check_info,
    require_floating,
    require_same_dtype,
    require_square,
)
from disttorch.ops.linalg_triangular import check_systems
from disttorch.ops.out import accepts_out
from disttorch.ops.shape_math import broadcast_shapes_checked
from disttorch.return_types import linalg_inv_ex as InverseResult
from disttorch.return_types import linalg_solve_ex as SolveResult
from disttorch.tensor import Tensor

__all__ = [
    *("inverse", "linalg_inv", "linalg_inv_ex", "linalg_solve", "linalg_solve_ex"),
    *("linalg_tensorinv", "linalg_tensorsolve"),
]

Array = Any


class Inverse(Op):
    """Inverse of a (..., n, n), and which diagonal element of U was zero."""

    torch_name = "LinalgInvExBackward0"
    non_differentiable_outputs = (1,)

    def forward(ctx, a: Array) -> tuple[Array, Array]:
        ctx.save_output()
        return ctx.backend.inverse(a)

    def backward(ctx, g: Any, _: Any) -> Any:
        (y,) = ctx.saved
        F = ctx.F
        h = adjoint(F, y)
        return -F.matmul(h, F.matmul(g, h))


@public(function=False)
@accepts_out
def linalg_inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """Inverse of (*, n, n) and info (*); singular matrices raise only if `check_errors`."""
    require_floating(A, "linalg.inv")
    require_square(A, "linalg.inv")
    inverse, info = Inverse.apply(A)
    if check_errors:
        check_info(info, "linalg.inv_ex", INVERSE)
    return InverseResult((inverse, info))


def _inverse(A: Tensor, name: str) -> Tensor:
    inverse, info = linalg_inv_ex(A)
    check_info(info, name, INVERSE)
    return inverse


@public(function=False)
@accepts_out
def linalg_inv(A: Tensor) -> Tensor:
    """Inverse of (*, n, n); LinAlgError for singular matrices."""
    return _inverse(A, "linalg.inv")


@public(method=True)
@accepts_out
def inverse(input: Tensor) -> Tensor:
    """Inverse of (*, n, n); LinAlgError for singular matrices."""
    return _inverse(input, "linalg.inv")


# ---- systems -------------------------------------------------------------------------------------


class Solve(Op):
    """x with ``a x = b``, a (..., n, n), b (..., n, k), and which element of U was zero."""

    torch_name = "LinalgSolveExBackward0"
    non_differentiable_outputs = (1,)

    def forward(ctx, a: Array, b: Array) -> tuple[Array, Array]:
        ctx.save(0)
        ctx.save_output()
        return ctx.backend.solve(a, b)

    def backward(ctx, g: Any, _: Any) -> Any:
        a, x = ctx.saved
        F = ctx.F
        gb = ctx.call(Solve, adjoint(F, a), g)[0]
        return (-F.matmul(gb, adjoint(F, x)) if ctx.needs_grad(0) else None), gb


@public(function=False)
@accepts_out
def linalg_solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """X with ``A X = B`` (``X A = B`` if not `left`) and info (*).

    A is (*, n, n); B is (*, n, k), or vectors (*, n). Singular matrices raise LinAlgError only if
    `check_errors`; RuntimeError for shapes and dtypes that do not fit.
    """
    name = "linalg.solve"
    require_floating(A, name)
    require_same_dtype(A, B, name)
    require_square(A, name)
    shape = A._array.shape
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B._array.shape == shape[:-1])
    if vector and not left:
        raise RuntimeError(
            "linalg.solve: Vector broadcasting of the left hand side is not supported for "
            "left=False. In this case linalg.solve is equivalent to B / A.squeeze(-1)"
        )
    b = B.unsqueeze(-1) if vector else B
    check_systems(A, b, name, left)
    broadcast_shapes_checked(shape[:-2], b._array.shape[:-2])
    if left:
        x, info = Solve.apply(A, b)
    else:
        x, info = Solve.apply(A.mT, b.mT)
        x = x.mT
    if check_errors:
        check_info(info, "torch.linalg.solve_ex", SOLVE)
    return SolveResult((x.squeeze(-1) if vector else x, info))


@public(function=False)
@accepts_out
def linalg_solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X with ``A X = B`` (``X A = B`` if not `left`); LinAlgError for singular matrices.

    A is (*, n, n); B is (*, n, k), or vectors (*, n).
    """
    x, info = linalg_solve_ex(A, B, left=left)
    check_info(info, "torch.linalg.solve", SOLVE)
    return x


# ---- tensors as matrices -------------------------------------------------------------------------


@public(function=False)
@accepts_out
def linalg_tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """Inverse of the map from the last dimensions to the first `ind`; see tensordot."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    shape = A._array.shape
    n, m = math.prod(shape[ind:]), math.prod(shape[:ind])
    if n != m:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {n} != {m}"
        )
    matrix = A.reshape(n, n)
    return _inverse(matrix, "inv").reshape(*shape[ind:], *shape[:ind])


@public(function=False)
@accepts_out
def linalg_tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """X with ``tensordot(A, X, X.ndim) = B``; `dims` of A are moved to its end first."""
    if dims is not None:
        chosen = [A._dim(d) for d in dims]
        A = A.movedim(chosen, list(range(A.ndim - len(chosen), A.ndim)))
    rest = A._array.shape[B.ndim :]
    n = math.prod(rest)
    if n != B.numel():
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {n} != {B.numel()}"
        )
    matrix = A.reshape(B.numel(), n)
    return linalg_solve(matrix, B.reshape(-1)).reshape(rest)
