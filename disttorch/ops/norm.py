"""Normalisation by channel over a batch: batch norm and instance norm."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.dtype import TYPE_NAMES
from disttorch.tensor import Tensor

__all__ = ["batch_norm", "instance_norm"]

Array = Any


class BatchNorm(Op):
    """Each channel of x (N, C, *S) to mean 0 and variance 1 over the batch, times w plus b (C,).

    `running` are the arrays of running mean and variance (or None), updated in place.
    """

    torch_name = "NativeBatchNormBackward0"

    def forward(
        ctx, x: Array, w: Array | None, b: Array | None, running: Any, momentum: float, eps: float
    ) -> Array:
        ctx.save(0, 1)
        ctx.eps = eps
        y, ctx.mean, ctx.variance = ctx.backend.batch_norm_forward(x, w, b, eps)
        ctx.count = max(1, x.size // max(1, x.shape[1]))  # values a channel
        unbiased = ctx.count / max(1, ctx.count - 1)
        for kept, new in zip(running, (ctx.mean, ctx.variance * unbiased), strict=True):
            if kept is not None and x.size:
                kept[...] = (1 - momentum) * kept + momentum * new
        return y

    def backward(ctx, g: Any) -> Any:
        x, w = ctx.saved
        if not ctx.F.recorded:
            return ctx.backend.batch_norm_backward(g, x, w, ctx.mean, ctx.variance, ctx.eps)
        dims = (0, *range(2, x.ndim))
        gw = ctx.F.sum(g * _normalised(ctx.F, x, dims, ctx.count, ctx.eps)[0], dims)
        slope = 1 if w is None else ctx.F.reshape(w, (-1, *(1,) * (x.ndim - 2)))
        return norm_gradient(ctx.F, g * slope, x, dims, ctx.count, ctx.eps), gw, ctx.F.sum(g, dims)


def _normalised(F: Any, x: Any, dims: Any, n: int, eps: float) -> tuple[Any, Any]:
    """Return x with mean 0 and variance 1 over `dims`, `n` elements, and 1 / its deviation."""
    centred = x - F.sum(x, dims, True) / n
    scale = 1 / F.sqrt(F.sum(centred * centred, dims, True) / n + eps)
    return centred * scale, scale


def norm_gradient(F: Any, g: Any, x: Any, dims: Any, n: int, eps: float) -> Any:
    """Gradient of x, given that of x normalised over `dims`: the kernels' formula, recordable."""
    xhat, scale = _normalised(F, x, dims, n, eps)
    return scale * (g - F.sum(g, dims, True) / n - xhat * (F.sum(g * xhat, dims, True) / n))


class FixedNorm(Op):
    """Each channel of x (N, C, *S) normalised by a given mean and variance, times w plus b (C,)."""

    torch_name = "NativeBatchNormBackward0"

    def forward(
        ctx, x: Array, w: Array | None, b: Array | None, mean: Array, variance: Array, eps: float
    ) -> Array:
        ctx.save(0, 1)
        each = (-1, *(1,) * (x.ndim - 2))
        ctx.mean = mean.reshape(each)
        ctx.scale = (1 / ctx.xp.sqrt(variance + eps)).reshape(each)
        slope = ctx.scale if w is None else ctx.scale * w.reshape(each)
        shift = -ctx.mean * slope if b is None else b.reshape(each) - ctx.mean * slope
        y = x * slope
        y += shift
        return y.astype(x.dtype, copy=False)

    def backward(ctx, g: Any) -> Any:
        x, w = ctx.saved
        F = ctx.F
        mean, scale = ctx.constant(ctx.mean), ctx.constant(ctx.scale)
        dims = (0, *range(2, x.ndim))
        gw = F.sum(g * (x - mean) * scale, dims) if ctx.needs_grad(1) else None
        gb = F.sum(g, dims) if ctx.needs_grad(2) else None
        slope = scale if w is None else scale * F.reshape(w, (-1, *(1,) * (x.ndim - 2)))
        return g * slope, gw, gb


@public()
def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalise each channel of input (N, C, *S) by the batch's or the running statistics.

    In training the running statistics move towards the batch's by `momentum`, in place. Raises
    RuntimeError for parameters of another length than C or of mixed dtypes.
    """
    if input.ndim < 2 and not input.numel():
        return input.clone()  # it has no channels
    running = (running_mean, running_var)
    _check(input, weight, bias, running, training)
    if not training:
        mean, variance = (t._array for t in running)  # type: ignore[union-attr]
        return FixedNorm.apply(input, weight, bias, mean=mean, variance=variance, eps=eps)
    y = BatchNorm.apply(
        input,
        weight,
        bias,
        running=tuple(None if t is None else t._array for t in running),
        momentum=momentum,
        eps=eps,
    )
    for t in running:
        if t is not None:
            t._cell[0] += 1
    return y


def _check(input: Tensor, weight: Any, bias: Any, running: Any, training: bool) -> None:
    n_channels = input.shape[1] if input.ndim > 1 else 0
    named = {"running_mean": running[0], "running_var": running[1], "weight": weight, "bias": bias}
    for name, t in named.items():
        if t is None:
            if not training and name.startswith("running"):
                raise RuntimeError(f"{name} must be defined in evaluation mode")
        elif t.numel() != n_channels:
            raise RuntimeError(f"{name} should contain {n_channels} elements not {t.numel()}")
    if not input.is_floating_point():
        raise NotImplementedError(f"\"batch_norm\" not implemented for '{TYPE_NAMES[input.dtype]}'")
    half = input._array.dtype.itemsize == 2
    for t in named.values():
        if t is not None and t.dtype != input.dtype and not (half and t.dtype.name == "float32"):
            raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")


@public()
def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalise each channel of each image of input (N, C, *S), as a batch norm of N * C channels.

    Running statistics, if given, take the mean of the images'.
    """
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    n, c, *sizes = input.shape
    stats = [None if t is None else t.repeat(n) for t in (running_mean, running_var)]
    affine = [None if t is None else t.repeat(n) for t in (weight, bias)]
    y = batch_norm(input.reshape(1, n * c, *sizes), *affine, *stats, use_input_stats, momentum, eps)
    if use_input_stats:
        for kept, new in zip((running_mean, running_var), stats, strict=True):
            if kept is not None:
                kept._array[...] = new._array.reshape(n, c).mean(0)  # type: ignore[union-attr]
                kept._cell[0] += 1
    return y.reshape(n, c, *sizes)
