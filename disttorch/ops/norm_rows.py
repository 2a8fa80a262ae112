"""Normalisation within each sample: layer norm, group norm, RMS norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.backends.precision import wide
from disttorch.dtype import TYPE_NAMES, finfo
from disttorch.ops.norm import norm_gradient
from disttorch.tensor import Tensor

__all__ = ["group_norm", "layer_norm", "rms_norm"]

Array = Any


class LayerNorm(Op):
    """x, cut into rows of w's and b's size, each to mean 0 and variance 1, times w plus b."""

    torch_name = "NativeLayerNormBackward0"

    def forward(ctx, x: Array, w: Array | None, b: Array | None, depth: int, eps: float) -> Array:
        ctx.save(0, 1)
        ctx.depth, ctx.eps = depth, eps
        ctx.parameter_shapes = [None if p is None else p.shape for p in (w, b)]
        rows, w, b = _rows(x, depth), *(None if p is None else p.reshape(-1) for p in (w, b))
        y, ctx.mean, ctx.scale = ctx.backend.row_norm_forward(rows, w, b, eps)
        return y.reshape(x.shape).astype(x.dtype, copy=False)

    def backward(ctx, g: Any) -> Any:
        x, w = ctx.saved
        if ctx.F.recorded:
            return _recorded(ctx, g, x, w)
        w = None if w is None else w.reshape(-1)
        rows = _rows(g, ctx.depth), _rows(x, ctx.depth)
        gx, *rest = ctx.backend.row_norm_backward(*rows, w, ctx.mean, ctx.scale)
        pairs = zip(rest, ctx.parameter_shapes, strict=True)
        return gx.reshape(x.shape), *(None if s is None else p.reshape(s) for p, s in pairs)


def _rows(x: Array, depth: int) -> Array:
    return x.reshape(x.size // depth if depth else 0, depth)


def _recorded(ctx: Any, g: Any, x: Any, w: Any) -> tuple[Any, Any, Any]:
    """The kernels' formula on Tensors; the engine sums over what w and b were broadcast to."""
    F, shape = ctx.F, x.shape
    rows = (-1, ctx.depth) if ctx.depth else (0, 0)
    x = F.reshape(x, rows)
    gx = norm_gradient(F, F.reshape(g if w is None else g * w, rows), x, 1, ctx.depth, ctx.eps)
    gw = None
    if w is not None:
        centred = x - F.sum(x, 1, True) / ctx.depth
        variance = F.sum(centred * centred, 1, True) / ctx.depth
        gw = g * F.reshape(centred / F.sqrt(variance + ctx.eps), shape)
    return F.reshape(gx, shape), gw, g


class GroupNorm(Op):
    """x, cut into rows of `depth` elements, each to mean 0 and variance 1, times w plus b.

    w and b broadcast against x.
    """

    torch_name = "NativeGroupNormBackward0"

    def forward(ctx, x: Array, w: Array | None, b: Array | None, depth: int, eps: float) -> Array:
        ctx.save(0, 1)
        ctx.depth, ctx.eps = depth, eps
        ctx.parameter_shapes = [None if p is None else p.shape for p in (w, b)]
        if not x.size:
            return x.copy()
        ctx.groups = x.size // (depth * x.shape[0])
        flat = [None if p is None else p.reshape(-1) for p in (w, b)]
        result = ctx.backend.group_norm_forward(x, *flat, ctx.groups, eps)
        y, ctx.mean, ctx.scale = result
        return y.astype(x.dtype, copy=False)

    def backward(ctx, g: Any) -> Any:
        x, w = ctx.saved
        if ctx.F.recorded or not g.size:
            return _recorded(ctx, g, x, w)
        w = None if w is None else w.reshape(-1)
        gx, *rest = ctx.backend.group_norm_backward(g, x, w, ctx.mean, ctx.scale, ctx.groups)
        pairs = zip(rest, ctx.parameter_shapes, strict=True)
        return gx, *(None if s is None else p.reshape(s) for p, s in pairs)


@public()
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """Normalise over the last dimensions, of `normalized_shape`, which is also weight's and bias's.

    RuntimeError if shapes do not fit, NotImplementedError for integers.
    """
    shape = _checked_shape(input, normalized_shape, "[*, {}]")
    for name, t in (("weight", weight), ("bias", bias)):
        _check_parameter(name, t, shape)
        if t is not None and t.dtype != input.dtype:
            half = input._array.dtype.itemsize == 2 and t.dtype.name == "float32"
            if not half:
                raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")
    if not input.is_floating_point():
        raise NotImplementedError(
            f"\"LayerNormKernelImpl\" not implemented for '{TYPE_NAMES[input.dtype]}'"
        )
    return LayerNorm.apply(input, weight, bias, depth=math.prod(shape), eps=eps)


def _checked_shape(input: Tensor, given: Any, pattern: str) -> tuple[int, ...]:
    if isinstance(given, int):
        raise TypeError(
            "layer_norm(): argument 'normalized_shape' (position 2) must be tuple of ints, not int"
        )
    shape = tuple(int(n) for n in given)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    if tuple(input.shape[-len(shape) :]) != shape:
        wanted = pattern.format(", ".join(map(str, shape)))
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape {wanted}, but got "
            f"input of size{list(input.shape)}"
        )
    return shape


def _check_parameter(name: str, t: Tensor | None, shape: tuple[int, ...]) -> None:
    if t is not None and t.shape != shape:
        raise RuntimeError(
            f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
            f"{list(t.shape)} and normalized_shape = {list(shape)}"
        )


@public()
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalise each of `num_groups` groups of channels of each image of input (N, C, *S).

    Then times weight plus bias (C,). RuntimeError if C is no multiple of the groups.
    """
    if input.ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.ndim}"
        )
    n, c = input.shape[:2]
    if c % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(input.shape)} and num_groups={num_groups}"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.shape != (c,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(t.shape)} and input of shape {list(input.shape)}"
            )
    each = (c, *(1,) * (input.ndim - 2))
    affine = [None if t is None else t.reshape(each) for t in (weight, bias)]
    depth = input.numel() // (n * num_groups) if input.numel() else 0
    return GroupNorm.apply(input, *affine, depth=depth, eps=eps)


class RmsNorm(Op):
    """x over the root of its mean square in each row of `depth` elements."""

    torch_name = "MulBackward0"

    def forward(ctx, x: Array, depth: int, eps: float) -> Array:
        ctx.save(0)
        ctx.depth, ctx.eps = depth, eps
        rows = wide(x.reshape(x.size // depth if depth else 0, depth))
        scale = 1 / ctx.xp.sqrt((rows * rows).sum(1, keepdims=True) / max(1, depth) + eps)
        return (rows * scale).reshape(x.shape).astype(x.dtype, copy=False)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        F, n, shape = ctx.F, max(1, ctx.depth), g.shape
        rows = (-1, ctx.depth) if ctx.depth else (0, 0)
        x, g = F.reshape(x, rows), F.reshape(g, rows)
        if not F.recorded:
            x, g = wide(x), wide(g)
        scale = 1 / F.sqrt(F.sum(x * x, 1, True) / n + ctx.eps)
        x, scale = F.conj(x), F.conj(scale)
        gx = scale * (g - x * (scale * scale * (F.sum(g * x, 1, True) / n)))
        return F.reshape(gx, shape)


@public()
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root mean square over the last dimensions, of `normalized_shape`.

    Then times weight. `eps` defaults to the dtype's. RuntimeError if shapes do not fit.
    """
    shape = _checked_shape(input, normalized_shape, "[*{}]")
    _check_parameter("weight", weight, shape)
    eps = finfo(input.dtype).eps if eps is None else eps
    y = RmsNorm.apply(input, depth=math.prod(shape), eps=eps)
    return y if weight is None else y * weight
