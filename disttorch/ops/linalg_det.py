"""Determinants and their logarithms."""

from __future__ import annotations

import math
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.ops.linalg_matrix import (
    PartialGrads,
    adjoint,
    as_diagonal,
    real_dtype,
    require_floating,
    require_square,
)
from disttorch.ops.linalg_solve import Solve
from disttorch.ops.linalg_svd import Svd
from disttorch.ops.out import accepts_out
from disttorch.ops.pointwise import log
from disttorch.ops.reduce import Prod
from disttorch.return_types import linalg_slogdet as LinalgSlogdetResult
from disttorch.return_types import slogdet as SlogdetResult
from disttorch.tensor import Tensor

__all__ = ["det", "linalg_det", "linalg_slogdet", "logdet", "slogdet"]

Array = Any


class Det(Op):
    """Determinant of a (..., n, n)."""

    torch_name = "LinalgDetBackward0"

    def forward(ctx, a: Array) -> Array:
        ctx.save(0)
        ctx.save_output()
        y = ctx.xp.linalg.det(a)
        ctx.singular = _nearly_singular(ctx.xp, a, y)
        return y

    def backward(ctx, g: Any) -> Any:
        a, y = ctx.saved
        F, n = ctx.F, a.shape[-1]
        if n <= 1 or 0 in a.shape:
            return F.expand(F.unsqueeze(F.unsqueeze(g, -1), -1), a.shape)
        if ctx.singular:
            return ctx._adjugate(g, a)
        right = as_diagonal(ctx, F.expand(F.unsqueeze(g * F.conj(y), -1), (*y.shape, n)))
        return ctx.call(Solve, adjoint(F, a), right)[0]

    def _adjugate(ctx, g: Any, a: Any) -> Any:
        """Where there is no inverse: from the products of all singular values but one."""
        F, n = ctx.F, a.shape[-1]
        u, s, vh = ctx.call(Svd, a, full=False)
        phase = F.conj(ctx.call(Det, u) * ctx.call(Det, vh)) * g
        rows = F.expand(F.unsqueeze(s, -2), (*s.shape, n))
        itself = ctx.constant(ctx.xp.eye(n, dtype=bool))
        others = F.where(itself, F.ones_like(rows), rows)
        others = ctx.call(Prod, others, dim=(others.ndim - 1,), keepdim=False)
        scale = F.unsqueeze(phase, -1) * others
        return F.matmul(u * F.unsqueeze(scale, -2), vh)


def _nearly_singular(xp: Any, a: Array, determinant: Array) -> bool:
    """Whether a determinant is rounding error beside the product of the rows' lengths."""
    if not a.size:
        return False
    limit = xp.prod(xp.sqrt((xp.abs(a) ** 2).sum(-1)), axis=-1)
    eps = xp.finfo(a.dtype).eps * 10 * a.shape[-1]
    return bool((xp.abs(determinant) <= eps * limit).any())


def _det(A: Tensor) -> Tensor:
    require_square(A, "linalg.det")
    require_floating(A, "linalg.det", "lu_cpu")
    return Det.apply(A)


@public(function=False)
@accepts_out
def linalg_det(A: Tensor) -> Tensor:
    """Determinants (*) of (*, n, n)."""
    return _det(A)


@public(method=True)
def det(input: Tensor) -> Tensor:
    """Determinants (*) of (*, n, n)."""
    return _det(input)


class Slogdet(PartialGrads):
    """Sign (or phase) and logarithm of the absolute value of a determinant."""

    torch_name = "LinalgSlogdetBackward0"

    def forward(ctx, a: Array) -> tuple[Array, Array]:
        ctx.save(0)
        ctx.save_output(0)
        sign, size = ctx.xp.linalg.slogdet(a)
        return sign, size.astype(real_dtype(a), copy=False)

    def backward(ctx, g_sign: Any, g_size: Any) -> Any:
        a, sign = ctx.saved
        F, n = ctx.F, a.shape[-1]
        is_complex = ctx.metas[0][1].kind == "c"
        g = g_size
        if is_complex and g_sign is not None:
            turn = F.imag(F.conj(g_sign) * sign) * -1j
            g = turn if g is None else g + turn
        if g is None:
            return None
        right = as_diagonal(ctx, F.expand(F.unsqueeze(g, -1), (*g.shape, n)))
        right = F.type_as(right, a) if is_complex else right
        return ctx.call(Solve, adjoint(F, a), right)[0]


def _slogdet(A: Tensor, name: str) -> tuple[Tensor, Tensor]:
    require_floating(A, name)
    require_square(A, name)
    return Slogdet.apply(A)


@public(function=False)
@accepts_out
def linalg_slogdet(A: Tensor) -> Any:
    """(sign, logabsdet) of the determinants of (*, n, n); sign 0 and -inf if singular."""
    return LinalgSlogdetResult(_slogdet(A, "linalg.slogdet"))


@public(method=True)
@accepts_out
def slogdet(input: Tensor) -> Any:
    """(sign, logabsdet) of the determinants of (*, n, n); sign 0 and -inf if singular."""
    return SlogdetResult(_slogdet(input, "linalg.slogdet"))


@public(method=True)
def logdet(input: Tensor) -> Tensor:
    """Logarithm of the determinants of (*, n, n); NaN for negative ones, -inf for 0."""
    sign, size = _slogdet(input, "logdet")
    if input.is_complex():
        return log(sign) + size
    return size.masked_fill(sign == -1, math.nan)
