"""Losses that compare input and target element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from disttorch.autograd import pieces
from disttorch.autograd.op import Op
from disttorch.backends.precision import wide
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.shape import broadcast_tensors
from disttorch.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
]

Array = Any

REDUCTIONS = ("none", "mean", "sum")


def check_reduction(reduction: str) -> None:
    """ValueError unless `reduction` is "none", "mean" or "sum"."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """Apply a reduction to a tensor of losses."""
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.mean()


class ElementLoss(Op):
    """A loss of each pair of elements, then "none", "sum" or "mean" of all.

    A subclass gives `values` of the losses from arrays, and `slopes`: the derivatives by input and
    by target, from what `values` was given, arrays or Tensors.
    """

    promotes = "same"
    settings: ClassVar[dict[str, Any]] = {}

    def forward(ctx, x: Array, t: Array, *more: Array, reduction: str, **settings: Any) -> Array:
        ctx.save(*range(2 + len(more)))
        ctx.reduction, ctx.settings = reduction, settings
        result_type = x.real.dtype
        if x.itemsize == 2:
            x, t, *more = (wide(a) for a in (x, t, *more))
        if reduction == "none":
            return ctx.values(x, t, *more).astype(result_type, copy=False)
        ctx.count, total = ctx.total(x, t, *more)
        if reduction == "mean":
            total = total / ctx.count if ctx.count else total * float("nan")
        return total.astype(result_type, copy=False)

    def total(ctx, x: Array, t: Array, *more: Array) -> tuple[int, Array]:
        """Number and sum of the losses; large arrays a block at a time, which stays in cache."""
        step = ctx.backend.fused_block
        flat = not more and x.shape == t.shape and x.flags.c_contiguous and t.flags.c_contiguous
        if step is None or x.size <= step or not flat:
            losses = ctx.values(x, t, *more)
            return losses.size, ctx.backend.add_up(losses)
        x, t = x.reshape(-1), t.reshape(-1)
        kernel = ctx.backend.forward_kernel(ctx.op_name, (x, t), ctx.settings)
        if kernel is not None:
            losses = ctx.xp.empty(x.shape, x.dtype)
            kernel((x, t), losses)
            return losses.size, ctx.backend.add_up(losses)
        parts = (slice(i, i + step) for i in range(0, x.size, step))
        sums = [ctx.values(x[part], t[part]).sum(dtype=x.dtype) for part in parts]
        return x.size, ctx.backend.asarray(sums, x.dtype).sum(dtype=x.dtype)

    def values(ctx, x: Array, t: Array) -> Array:
        """Losses of pairs of elements."""
        raise NotImplementedError

    def slopes(ctx, x: Any, t: Any) -> tuple[Any, Any]:
        """Derivatives of `values` by x and by t; None for one that is not wanted."""
        raise NotImplementedError

    def backward(ctx, g: Any) -> Any:
        if ctx.reduction == "mean":
            g = g / max(1, ctx.count)
        saved = ctx.saved
        if not ctx.F.recorded and saved[0].size >= ctx.backend.pieces_from:
            gx = pieces.by_kernel(ctx, g, saved)
            if gx is not None:
                return gx, *(None for _ in saved[1:])
        return tuple(None if d is None else g * d for d in ctx.slopes(*saved))

    def of_target(ctx, make: Callable[[], Any]) -> Any:
        """The derivative by the target, if it is wanted."""
        return make() if ctx.needs_grad(1) else None


class MseLoss(ElementLoss):
    """(x - t) squared."""

    def values(ctx, x: Array, t: Array) -> Array:
        d = x - t
        return d * d

    def slopes(ctx, x: Any, t: Any) -> tuple[Any, Any]:
        d = (x - t) * 2
        return d, ctx.of_target(lambda: -d)


class L1Loss(ElementLoss):
    """abs(x - t)."""

    torch_name = "MeanBackward0"

    def values(ctx, x: Array, t: Array) -> Array:
        return ctx.xp.abs(x - t)

    def slopes(ctx, x: Any, t: Any) -> tuple[Any, Any]:
        d = ctx.F.sgn(x - t)
        return d, ctx.of_target(lambda: -d)


class HuberLoss(ElementLoss):
    """Half the square of x - t where that is at most `delta`, a line from there; over `scale`."""

    def values(ctx, x: Array, t: Array) -> Array:
        delta = ctx.settings["delta"]
        d = ctx.xp.abs(x - t)
        loss = ctx.xp.where(d < delta, d * d * 0.5, (d - delta * 0.5) * delta)
        return loss / ctx.settings["scale"]

    def slopes(ctx, x: Any, t: Any) -> tuple[Any, Any]:
        delta, F = ctx.settings["delta"], ctx.F
        d = x - t
        slope = F.where(F.abs(d) < delta, d, F.sign(d) * delta) / ctx.settings["scale"]
        return slope, ctx.of_target(lambda: -slope)


class SmoothL1Loss(HuberLoss):
    """Huber loss over its delta."""


class BinaryCrossEntropy(ElementLoss):
    """-(t log x + (1 - t) log(1 - x)), logarithms cut off at -100."""

    def values(ctx, x: Array, t: Array) -> Array:
        xp = ctx.xp
        log_x, log_rest = xp.maximum(xp.log(x), -100), xp.maximum(ctx.backend.log1p(-x), -100)
        return (t - 1) * log_rest - t * log_x

    def slopes(ctx, x: Any, t: Any) -> tuple[Any, Any]:
        F = ctx.F
        spread = x * (1 - x)
        slope = (x - t) / F.where(spread < 1e-12, F.ones_like(x) * 1e-12, spread)
        return slope, ctx.of_target(lambda: F.log1p(-x) - F.log(x))


class BinaryCrossEntropyWithLogits(ElementLoss):
    """Binary cross-entropy of sigmoid(x), positives weighted; without overflow."""

    def values(ctx, x: Array, t: Array, weight: Array | None = None) -> Array:
        loss = (1 - t) * x
        rest = ctx.backend.log1p(ctx.xp.exp(-ctx.xp.abs(x))) + ctx.xp.maximum(-x, 0)
        loss += rest if weight is None else (1 + (weight - 1) * t) * rest
        return loss

    def slopes(ctx, x: Any, t: Any, weight: Any = None) -> tuple[Any, Any]:
        F = ctx.F
        of_negative = 1 / (1 + F.exp(x))  # sigmoid(-x)
        if weight is None:
            return 1 - t - of_negative, ctx.of_target(lambda: -x)
        softplus = F.log1p(F.exp(-F.abs(x))) + F.where(x < 0, -x, F.zeros_like(x))
        return (
            1 - t - (1 + (weight - 1) * t) * of_negative,
            ctx.of_target(lambda: (weight - 1) * softplus - x),
            t * softplus,
        )


class KlDiv(ElementLoss):
    """t (log t - x), 0 where t is 0; x holds logarithms, and so does t if `log_target`."""

    torch_name = "MeanBackward0"

    def values(ctx, x: Array, t: Array) -> Array:
        xp = ctx.xp
        if ctx.settings["log_target"]:
            return xp.exp(t) * (t - x)
        return xp.where(t == 0, 0 * t, t * xp.log(xp.where(t == 0, 1, t))) - t * x

    def slopes(ctx, x: Any, t: Any) -> tuple[Any, Any]:
        F = ctx.F
        if ctx.settings["log_target"]:
            p = F.exp(t)
            return -p, ctx.of_target(lambda: p * (t - x + 1))
        log_t = F.log(F.where(t == 0, F.ones_like(t), t))
        return -t, ctx.of_target(lambda: F.where(t == 0, F.zeros_like(t), log_t + 1) - x)


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared differences, broadcast; ValueError for an unknown `reduction`."""
    check_reduction(reduction)
    if input._array.dtype.kind in "iub" and target._array.dtype.kind in "iub":
        refuse_kinds(input._array, "iub", "mse_cpu")
    return MseLoss.apply(input, target, reduction=reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Absolute differences, broadcast; ValueError for an unknown `reduction`."""
    check_reduction(reduction)
    return L1Loss.apply(input, target, reduction=reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """Half squared differences up to `delta`, a line from there; RuntimeError unless delta > 0."""
    check_reduction(reduction)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    return HuberLoss.apply(input, target, reduction=reduction, delta=delta, scale=1)


def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """Huber loss over its `beta`, absolute differences for 0; RuntimeError for a negative one."""
    check_reduction(reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return L1Loss.apply(input, target, reduction=reduction)
    return SmoothL1Loss.apply(input, target, reduction=reduction, delta=beta, scale=beta)


def kl_div(
    input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """Kullback-Leibler divergence of target from exp(input), elementwise, reduced."""
    check_reduction(reduction)
    if input.shape != target.shape:
        input, target = broadcast_tensors(input, target)
    return KlDiv.apply(input, target, reduction=reduction, log_target=log_target)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy of probabilities `input` against `target`, both in [0, 1] and of one shape.

    Raises ValueError for shapes, RuntimeError for dtypes or values that do not fit.
    """
    check_reduction(reduction)
    if input.shape != target.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    if input.dtype != target.dtype:
        raise RuntimeError(
            f"Found dtype {TYPE_NAMES[target.dtype]} but expected {TYPE_NAMES[input.dtype]}"
        )
    for name, t in (("input", input), ("target", target)):
        if t.numel() and not (t._array.min() >= 0 and t._array.max() <= 1):
            raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    if weight is None:
        return BinaryCrossEntropy.apply(input, target, reduction=reduction)
    return reduced(BinaryCrossEntropy.apply(input, target, reduction="none") * weight, reduction)


def _refuse_integers(input: Tensor, target: Tensor) -> None:
    refuse_kinds(input._array, "iub", "log_sigmoid_cpu")
    if target._array.dtype.kind == "b":
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead."
        )
    raise RuntimeError(
        f"result type {TYPE_NAMES[input.dtype]} can't be cast to the desired output type "
        f"{TYPE_NAMES[target.dtype]}"
    )


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of sigmoid(input) against `target`, of one shape.

    `pos_weight` broadcasts and weighs positives. ValueError for shapes that differ.
    """
    check_reduction(reduction)
    if input.shape != target.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    if input._array.dtype.kind in "iub" or target._array.dtype.kind in "iub":
        _refuse_integers(input, target)
    op = BinaryCrossEntropyWithLogits
    more = () if pos_weight is None else (pos_weight,)
    if weight is None:
        return op.apply(input, target, *more, reduction=reduction)
    return reduced(op.apply(input, target, *more, reduction="none") * weight, reduction)
