"""Dropout: elements, or whole channels, set to zero at random; the rest scaled up.

Random numbers are drawn as PyTorch draws them on the CPU, so a seed gives the same mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from disttorch.autograd.inplace import overwrite
from disttorch.autograd.op import Op, public
from disttorch.dtype import TYPE_NAMES
from disttorch.random import fill_bernoulli
from disttorch.tensor import Tensor

__all__ = [
    "alpha_dropout",
    "alpha_dropout_",
    "dropout",
    "dropout_",
    "feature_alpha_dropout",
    "feature_alpha_dropout_",
    "feature_dropout",
    "feature_dropout_",
]

Array = Any

# The value that SELU saturates at, negated: dropped elements take it in alpha dropout.
_ALPHA = 1.7580993408473766


class Masked(Op):
    """x * scale where the bool mask, broadcast, is true, 0 elsewhere."""

    torch_name = "MulBackward0"

    def forward(ctx, x: Array, mask: Array, scale: float) -> Array:
        ctx.mask, ctx.scale = mask, scale  # a byte an element, not a float
        y = x * x.dtype.type(scale)
        y *= mask
        return y

    def backward(ctx, g: Any) -> Any:
        return ctx.call(Masked, g, ctx.constant(ctx.mask), scale=ctx.scale), None


def _kept(input: Tensor, p: float, whole_channels: bool) -> Tensor:
    """Draw which elements (or channels of (N, C, *S)) to keep: bool."""
    if whole_channels:
        if input.ndim < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        return keep_mask(input, (*input.shape[:2], *(1,) * (input.ndim - 2)), p)
    mask = input.backend.xp.empty_like(input._array, bool)
    input.backend.sample(mask, lambda a: fill_bernoulli(a, 1 - p))
    return Tensor._wrap(mask)


def keep_mask(like: Tensor, shape: tuple[int, ...], p: float) -> Tensor:
    """Draw bools of a shape, each False with probability `p`, on the device of `like`."""
    mask = like.backend.xp.empty(shape, bool)
    like.backend.sample(mask, lambda a: fill_bernoulli(a, 1 - p))
    return Tensor._wrap(mask)


def _dropped(input: Tensor, p: float, train: bool, whole_channels: bool, alpha: bool) -> Tensor:
    """Apply one of the four kinds; `input` itself where nothing is to be dropped."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
    if p == 0 or not train or input.numel() == 0:
        return input
    if p == 1:
        return input * 0 if not input.is_floating_point() else input * input.new_zeros(())
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {TYPE_NAMES[input.dtype]}"
        )
    mask = _kept(input, p, whole_channels)
    if not alpha:
        one = input._array.dtype.type(1)
        return Masked.apply(input, mask, scale=float(one / input._array.dtype.type(1 - p)))
    a = 1 / math.sqrt((_ALPHA**2 * p + 1) * (1 - p))
    b = (mask.to(input.dtype) - 1) * (_ALPHA * a) + _ALPHA * a * p
    return Masked.apply(input, mask, scale=a) + b


def _kind(name: str, whole_channels: bool, alpha: bool, inplace: bool) -> Callable[..., Tensor]:
    """Make one kind of dropout, out of place or in place."""

    def drop(input: Tensor, p: float, train: bool) -> Tensor:
        y = _dropped(input, p, train, whole_channels, alpha)
        return y if not inplace or y is input else overwrite(input, y)

    drop.__name__ = drop.__qualname__ = name + "_" * inplace
    what = "channels of (N, C, *S)" if whole_channels else "elements"
    keep = "so that mean and variance stay" if alpha else "and scale the rest by 1 / (1 - p)"
    drop.__doc__ = (
        f"Drop {what} with probability `p` if `train`, {keep}{'; in place' * inplace}.\n\n"
        "RuntimeError unless 0 <= p <= 1."
    )
    return public()(drop)


dropout, dropout_ = (_kind("dropout", False, False, i) for i in (False, True))
feature_dropout, feature_dropout_ = (
    _kind("feature_dropout", True, False, i) for i in (False, True)
)
alpha_dropout, alpha_dropout_ = (_kind("alpha_dropout", False, True, i) for i in (False, True))
feature_alpha_dropout, feature_alpha_dropout_ = (
    _kind("feature_alpha_dropout", True, True, i) for i in (False, True)
)
