"""Activations made of straight pieces: relu and its relatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.op import PointwiseOp, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.dtype import TYPE_NAMES, finfo
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import accepts_out
from disttorch.ops.pointwise_bounds import KeepWhere
from disttorch.tensor import Tensor

__all__ = [
    *("hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "prelu", "relu"),
    *("relu6", "softshrink", "threshold"),
]

Array = Any


@quick(1, "fiuV", keeps="output")
class Relu(PointwiseOp):
    """max(x, 0)."""

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the cut at 0."""
        clip = backend.clip
        return lambda x: clip(x, 0, None)

    def forward(ctx, x: Array) -> Array:
        if x.dtype.kind == "b":
            raise RuntimeError("Boolean inputs not supported for relu")
        if x.dtype.kind == "c":
            raise NotImplementedError("clamp is not supported for complex types")
        ctx.save_output()
        return ctx.backend.clip(x, 0, None)

    def backward(ctx, g: Any) -> Any:
        (y,) = ctx.saved
        return g * (y > 0)


@public(method=True, inplace=True)
def relu(input: Tensor) -> Tensor:
    """max(x, 0) for each element; RuntimeError for bools and complex numbers."""
    return Relu.apply(input)


class Hardtanh(PointwiseOp):
    """x limited to [low, high]; the gradient stops at and beyond the bounds."""

    def forward(ctx, x: Array, low: float, high: float) -> Array:
        refuse_kinds(x, "b", "hardtanh_cpu")
        ctx.save_output()
        ctx.low, ctx.high = low, high
        if x.dtype.kind == "V":  # comparisons with numbers would be in float32
            ctx.low, ctx.high = (float(x.dtype.type(bound)) for bound in (low, high))
        return ctx.backend.clip(x, low, high).astype(x.dtype, copy=False)

    def backward(ctx, g: Any) -> Any:
        (y,) = ctx.saved
        return g * ((y > ctx.low) & (y < ctx.high))


@public(function=False)
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """Limit each element to [min_val, max_val]; ValueError if the bounds are in disorder."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return Hardtanh.apply(input, low=min_val, high=max_val)


@public(function=False)
def relu6(input: Tensor) -> Tensor:
    """Limit each element to [0, 6]."""
    return Hardtanh.apply(input, low=0.0, high=6.0)


class LeakyRelu(PointwiseOp):
    """x where it is positive, slope * x elsewhere."""

    def forward(ctx, x: Array, slope: float) -> Array:
        refuse_kinds(x, "biu", "leaky_relu_cpu")
        ctx.save(0)
        ctx.slope = slope
        if 0 <= slope <= 1:
            return ctx.xp.maximum(x, (x * slope).astype(x.dtype, copy=False))
        return ctx.backend.where(x > 0, x, (x * slope).astype(x.dtype, copy=False))

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        positive = x > 0
        return g * positive + g * ctx.slope * ctx.F.logical_not(positive)


@public(function=False)
def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Return x where it is positive, negative_slope * x elsewhere."""
    return LeakyRelu.apply(input, slope=negative_slope)


class Prelu(PointwiseOp):
    """x where it is positive, w * x elsewhere; w broadcasts against x."""

    torch_name = "PreluKernelBackward0"

    def forward(ctx, x: Array, w: Array) -> Array:
        ctx.save(0, 1)
        return ctx.backend.where(x > 0, x, w * x)

    def backward(ctx, g: Any) -> Any:
        x, w = ctx.saved
        positive = x > 0
        below = g * ctx.F.logical_not(positive)
        return g * positive + below * w, below * x


@public(method=True)
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Return x where positive, weight * x elsewhere.

    One weight for all or one a channel (dimension 1).
    RuntimeError for a weight with another number of elements.
    """
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    if weight.numel() != 1:
        if input.ndim == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != weight.numel():
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel()} and channel size = {channels}."
            )
        weight = weight.reshape(-1, *(1,) * (input.ndim - 2))
    elif input.ndim != weight.ndim:
        weight = weight.reshape((1,) * input.ndim)
    return Prelu.apply(input, weight)


class Threshold(PointwiseOp):
    """x where it is above the threshold, a constant elsewhere."""

    def forward(ctx, x: Array, threshold: float, value: float) -> Array:
        ctx.save(0)
        ctx.threshold, ctx.value = threshold, value
        constant = ctx.xp.full((), value, x.dtype)
        return ctx.backend.where(x <= threshold, constant, x)  # NaN stays

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        return ctx.call(KeepWhere, g, x > ctx.threshold)


@public(inplace=True)
def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """Return x where it is above `threshold`, `value` elsewhere."""
    return Threshold.apply(input, threshold=threshold, value=value)


class Hardsigmoid(PointwiseOp):
    """(x + 3) / 6 limited to [0, 1]."""

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "biu", "hardsigmoid_cpu")
        ctx.save(0)
        y = ctx.backend.clip(x + 3, 0, 6)
        y /= 6
        return y.astype(x.dtype, copy=False)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        return g * ((x > -3) & (x < 3)) / 6


@public(function=False)
def hardsigmoid(input: Tensor) -> Tensor:
    """(x + 3) / 6 limited to [0, 1]."""
    return Hardsigmoid.apply(input)


class Hardswish(PointwiseOp):
    """x * hardsigmoid(x)."""

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "biu", "hardswish_cpu")
        ctx.save(0)
        y = ctx.backend.clip(x + 3, 0, 6)
        y *= x
        y /= 6
        return y.astype(x.dtype, copy=False)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        inside = (x > -3) & (x < 3)
        return g * (x >= 3) + ctx.F.where(inside, g * (x / 3 + 0.5), ctx.F.zeros_like(g))


@public(function=False)
def hardswish(input: Tensor) -> Tensor:
    """Return x * (x + 3) / 6 between -3 and 3, 0 below, x above."""
    return Hardswish.apply(input)


class Shrink(PointwiseOp):
    """x moved toward 0 by `shift` where |x| > edge, 0 elsewhere."""

    def forward(ctx, x: Array, edge: float, shift: float) -> Array:
        refuse_kinds(x, "biu", "softshrink_cpu" if shift else "hardshrink_cpu")
        xp = ctx.xp
        ctx.save(0)
        ctx.edge = edge
        moved = x - xp.sign(x) * shift if shift else x
        moved = moved.astype(x.dtype, copy=False)
        return ctx.backend.where(xp.abs(x) <= edge, x.dtype.type(0), moved)  # NaN stays

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        return ctx.call(KeepWhere, g, ctx.F.abs(x) > ctx.edge)


class Hardshrink(Shrink, overload="HardshrinkBackward0"):
    """Without a shift."""


class Softshrink(Shrink, overload="SoftshrinkBackward0"):
    """With a shift by the edge."""


@public(method=True)
@accepts_out
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return x where ``|x| > lambd``, 0 elsewhere."""
    return Hardshrink.apply(input, edge=lambd, shift=0.0)


@public(function=False)
@accepts_out
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return x moved by `lambd` toward 0, 0 for what is within; RuntimeError for lambd < 0."""
    if lambd < 0:
        raise RuntimeError(
            f"lambda must be in range [0, {finfo(input.dtype).max:.6g}] for input dtype "
            f"{TYPE_NAMES[input.dtype]}, but found {lambd:g}"
        )
    return Softshrink.apply(input, edge=lambd, shift=lambd)
