"""Variance and standard deviation over dimensions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.ops.out import accepts_out
from disttorch.ops.reduce import Dims, mean, n_reduced, normalized_dims, restore_dims
from disttorch.tensor import Tensor

__all__ = ["std", "std_mean", "var", "var_mean"]

Array = Any


@quick(1, "f", keeps="input", settings=True)
class Var(Op):
    """Mean squared distance from the mean over dims, divided by n - correction."""

    is_root = False

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the variance or its root."""
        return partial(_of_array, backend, cls.is_root)

    def forward(ctx, x: Array, dim: tuple[int, ...], correction: float, keepdim: bool) -> Array:
        ctx.save(0)
        if ctx.is_root:  # a variance may be overwritten: its square root is often taken in place
            ctx.save_output()
        ctx.dim, ctx.keepdim, ctx.correction = dim, keepdim, correction
        return _of_array(ctx.backend, ctx.is_root, x, dim, correction, keepdim)

    def backward(ctx, g: Any) -> Any:
        x, *root = ctx.saved
        F = ctx.F
        if root:
            (y,) = root
            zero = y == 0
            g = F.where(zero, F.zeros_like(g), g / (2 * F.where(zero, F.ones_like(y), y)))
        n = n_reduced(x.shape, ctx.dim)
        centred = x - F.sum(x, ctx.dim, True) / (n or 1)
        divisor = max(n - ctx.correction, 0.0)
        scale = 2 / divisor if divisor else float("nan")
        return restore_dims(F, g, ctx.dim, ctx.keepdim) * scale * centred


@quick(1, "f", keeps="both", settings=True)
class Std(Var):
    """Square root of the variance."""

    is_root = True


def _of_array(
    backend: Backend, is_root: bool, x: Array, dim: Any, correction: float, keepdim: bool
) -> Array:
    n = n_reduced(x.shape, dim)
    wide = x.astype("float32") if x.dtype.itemsize == 2 else x
    axis = None if len(dim) == x.ndim else dim
    centred = wide - backend.add_up(wide, axis, axis is not None) / wide.real.dtype.type(n)
    if x.dtype.kind == "c":
        centred = backend.xp.abs(centred)
    squares = backend.sum_squares(centred, axis, keepdim)
    spread = squares / centred.dtype.type(max(n - correction, 0.0))
    if is_root:
        spread = backend.xp.sqrt(spread)
    return spread.astype(x.dtype) if x.itemsize == 2 else spread


def _spread(
    op: type[Op],
    input: Tensor,
    dim: Dims | bool,
    unbiased: bool,
    keepdim: bool,
    correction: float | None,
    suffix: str = "",
) -> Tensor:
    """Variance or deviation by PyTorch's three signatures: the second argument may be a bool.

    `suffix` ends the name a warning gives the function, "_mean" of `var_mean` and `std_mean`.
    """
    name = op.op_name.lower() + suffix
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if input._array.dtype.kind not in "fcV":
        raise RuntimeError("std and var only support floating point and complex dtypes")
    if correction is None:
        correction = 1 if unbiased else 0
    dims = normalized_dims(input, dim)
    n = n_reduced(input._array.shape, dims)
    if n <= correction and input._array.size:
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel).",
            UserWarning,
            stacklevel=4,
        )
    y: Tensor = op.apply(input, dim=dims, correction=correction, keepdim=keepdim)
    return y


@public(method=True)
@accepts_out
def var(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Variance of all elements or over `dim`, divided by n - correction (1, or 0 if biased)."""
    return _spread(Var, input, dim, unbiased, keepdim, correction)


@public(method=True)
@accepts_out
def std(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Standard deviation of all elements or over `dim`, as `var`."""
    return _spread(Std, input, dim, unbiased, keepdim, correction)


@public()
def var_mean(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Variance, as `var`, and mean."""
    dims = None if isinstance(dim, bool) else dim
    spread = _spread(Var, input, dim, unbiased, keepdim, correction, "_mean")
    return spread, mean(input, dims, keepdim)


@public()
def std_mean(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Standard deviation, as `std`, and mean."""
    dims = None if isinstance(dim, bool) else dim
    spread = _spread(Std, input, dim, unbiased, keepdim, correction, "_mean")
    return spread, mean(input, dims, keepdim)
