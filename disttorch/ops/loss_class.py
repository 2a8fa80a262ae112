"""Losses of class scores against class numbers or class probabilities."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from disttorch.autograd.op import Op
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.index_gather import full_index
from disttorch.ops.loss import check_reduction
from disttorch.ops.softmax import LogSoftmax
from disttorch.tensor import Tensor

__all__ = ["cross_entropy", "nll_loss"]

Array = Any


class _Targets:
    """Class numbers (N, *S) of scores (N, C, *S): where the picked scores are and their weights.

    `key` indexes the picked scores, shape (N, 1, *S); `weight` (N, 1, *S) is 0 where ignored, None
    if all are 1; `total` is the sum of the weights, by which a mean divides. `classes` are the
    numbers, (N, *S), with 0 where ignored.
    """

    def __init__(
        self, backend: Any, x: Array, target: Array, weight: Array | None, ignore_index: int
    ) -> None:
        self.backend = backend
        self.scores = x.shape
        xp, n_classes = backend.xp, x.shape[1]
        valid: Array | None = None  # None: all of them
        outside = backend.first_outside(target, 0, n_classes)
        if outside is not None or 0 <= ignore_index < n_classes:
            valid = target != ignore_index
            target = xp.where(valid, target, 0)
            outside = backend.first_outside(target, 0, n_classes)
            if outside is not None:
                raise IndexError(f"Target {outside} is out of bounds.")
            valid = None if bool(valid.all()) else valid[:, None]
        self.classes = target
        if weight is None:
            self.weight = None if valid is None else valid.astype(x.dtype)
            self.total = target.size if valid is None else backend.add_up(self.weight)
        else:
            self.weight = weight[self._index]
            if valid is not None:
                self.weight = self.weight * valid
            self.total = backend.add_up(self.weight)

    @property
    def _index(self) -> Array:
        return self.classes[:, None].astype("int64", copy=False)

    @cached_property
    def key(self) -> tuple[Array, ...]:
        """Where the picked scores are."""
        index = self._index
        if len(self.scores) == 2:
            return (self.backend.xp.arange(len(index))[:, None], index)
        return full_index(self.backend.xp, index, 1)

    def reduce(self, losses: Array, reduction: str) -> Array:
        """Weigh losses (N, 1, *S), then reduce; no reduction gives (N, *S)."""
        if self.weight is not None:
            losses = losses * self.weight
        if reduction == "none":
            return losses.reshape(losses.shape[0], *losses.shape[2:])
        total = self.backend.add_up(losses)
        return total if reduction == "sum" else total / losses.dtype.type(self.total)

    def share(self, ctx: Any, g: Any, reduction: str) -> Any:
        """The gradient of each weighted loss, (N, 1, *S) or broadcasting to it."""
        if reduction == "none":
            g = ctx.F.unsqueeze(g, 1)
        elif reduction == "mean":
            # A mean over nothing is NaN, yet ignored scores get no gradient.
            g = g / ctx.constant(ctx.backend.asarray(self.total or 1, ctx.np_dtype))
        return g if self.weight is None else g * ctx.constant(self.weight)


class CrossEntropy(Op):
    """-log softmax(x)[target] of scores x (N, C, *S) and class numbers, weighted and reduced."""

    torch_name = "NllLossBackward0"

    def forward(
        ctx,
        x: Array,
        target: Array,
        weight: Array | None,
        ignore_index: int,
        reduction: str,
    ) -> Array:
        ctx.save(0)
        ctx.reduction, ctx.np_dtype = reduction, x.dtype
        ctx.targets = targets = _Targets(ctx.backend, x, target, weight, ignore_index)
        ctx.log_p = None
        if targets.weight is None and reduction == "mean":
            loss = ctx.backend.mean_class_loss(x, targets.classes)
            if loss is not None:
                return loss
        ctx.log_p = log_p = ctx.backend.log_softmax(x, 1)
        return targets.reduce(-log_p[targets.key], reduction)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        if not ctx.F.recorded and ctx.log_p is None:
            return ctx.backend.mean_class_slope(x, ctx.targets.classes, g)
        log_p = ctx.call(LogSoftmax, x, dim=1) if ctx.F.recorded else ctx.log_p
        share = ctx.targets.share(ctx, g, ctx.reduction)
        return ctx.call(SubtractPicked, log_p, share, key=ctx.targets.key)


class SubtractPicked(Op):
    """(exp(x) - one-hot) * s: x (N, C, *S), 1 taken off at `key`, s (N, 1, *S) or ()."""

    def forward(ctx, x: Array, s: Array, key: Any) -> Array:
        ctx.save(0, 1)
        ctx.key = key
        y = ctx.xp.exp(x)
        y[key] -= 1
        y *= s
        return y

    def backward(ctx, g: Any) -> Any:
        x, s = ctx.saved
        picked = ctx.xp.zeros(ctx.metas[0][0], ctx.metas[0][1])
        picked[ctx.key] = 1
        p = ctx.F.exp(x)
        return g * s * p, g * (p - ctx.constant(picked))


class SoftCrossEntropy(Op):
    """-sum over classes of q log softmax(x), for scores x and weights q (N, C, *S), over `divisor`.

    No reduction, (N, *S), if `divisor` is None.
    """

    torch_name = "NegBackward0"

    def forward(ctx, x: Array, q: Array, divisor: float | None) -> Array:
        ctx.save(0, 1)
        ctx.divisor = divisor
        add_up = ctx.backend.add_up
        losses = -add_up(LogSoftmax.run(ctx.backend, x, dim=1) * q, 1)
        return losses if divisor is None else add_up(losses) / x.dtype.type(divisor)

    def backward(ctx, g: Any) -> Any:
        x, q = ctx.saved
        F = ctx.F
        log_p = ctx.call(LogSoftmax, x, dim=1)
        g = F.unsqueeze(g, 1) if ctx.divisor is None else g / (ctx.divisor or 1)
        gx = (F.exp(log_p) * F.sum(q, 1, True) - q) * g if ctx.needs_grad(0) else None
        return gx, -log_p * g if ctx.needs_grad(1) else None


class NllLoss(Op):
    """-x[target] of log-probabilities x (N, C, *S) and class numbers, weighted and reduced."""

    torch_name = "NllLossBackward0"

    def forward(
        ctx,
        x: Array,
        target: Array,
        weight: Array | None,
        ignore_index: int,
        reduction: str,
    ) -> Array:
        ctx.shape, ctx.reduction, ctx.np_dtype = x.shape, reduction, x.dtype
        ctx.targets = _Targets(ctx.backend, x, target, weight, ignore_index)
        return ctx.targets.reduce(-x[ctx.targets.key], reduction)

    def backward(ctx, g: Any) -> Any:
        share = ctx.targets.share(ctx, g, ctx.reduction)
        return ctx.call(PlaceNegated, share, key=ctx.targets.key, shape=ctx.shape)


class PlaceNegated(Op):
    """Zeros of `shape` with -s at `key`, s broadcast."""

    def forward(ctx, s: Array, key: Any, shape: tuple[int, ...]) -> Array:
        ctx.key = key
        ctx.spread = s.ndim == 0
        y = ctx.xp.zeros(shape, s.dtype)
        y[key] = -s
        return y

    def backward(ctx, g: Any) -> Any:
        picked = ctx.call(NegatedAt, g, key=ctx.key)
        return ctx.F.sum(picked) if ctx.spread else picked


class NegatedAt(Op):
    """-x at `key`."""

    def forward(ctx, x: Array, key: Any) -> Array:
        ctx.key, ctx.shape = key, x.shape
        return -x[key]

    def backward(ctx, g: Any) -> Any:
        return ctx.call(PlaceNegated, g, key=ctx.key, shape=ctx.shape)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of logits (C,) or (N, C, *S) against class numbers () or (N, *S).

    Or against class probabilities of the logits' shape. Raises IndexError for a class out of
    range, RuntimeError or ValueError for shapes and dtypes that do not fit.
    """
    check_reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    how = {"ignore_index": ignore_index, "reduction": reduction}
    if weight is None and label_smoothing == 0.0 and _is_plain(input, target):
        return CrossEntropy.apply(input, target, None, **how)
    if input.shape == target.shape and input.ndim:
        return _soft(input, target, weight, ignore_index, reduction, label_smoothing)
    if not input.is_floating_point():
        raise NotImplementedError(
            f"\"log_softmax_lastdim_kernel_impl\" not implemented for '{TYPE_NAMES[input.dtype]}'"
        )
    _check(input, target, weight)
    x, t = _batched(input, target)
    if label_smoothing > 0:
        loss = _smoothed(x, t, weight, label_smoothing, how)
    else:
        loss = CrossEntropy.apply(x, t, _constant(weight), **how)
    return _unbatched(loss, input, reduction)


def _is_plain(input: Tensor, target: Tensor) -> bool:
    """Whether these are floating scores (N, C) and int64 class numbers (N,), as `_check` wants."""
    x, t = input._array, target._array
    return (
        x.ndim == 2
        and x.shape[:1] == t.shape
        and t.dtype.kind == "i"
        and t.itemsize == 8
        and x.dtype.kind in "fV"
    )


def _unbatched(loss: Tensor, input: Tensor, reduction: str) -> Tensor:
    """Undo `_batched` in a loss."""
    return loss[0] if input.ndim == 1 and reduction == "none" else loss


def _batched(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Give unbatched scores (C,) and their class () or (1,) a batch of one."""
    return (input.reshape(1, -1), target.reshape(1)) if input.ndim == 1 else (input, target)


def _constant(weight: Tensor | None) -> Tensor | None:
    return None if weight is None else weight.detach()


def _soft(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """Cross-entropy against probabilities."""
    if not target.is_floating_point():
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{TYPE_NAMES[target.dtype]}"
        )
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    _check_weight(input, weight)
    x, q = (t.reshape(1, -1) if input.ndim == 1 else t for t in (input, target))
    n_classes = x.shape[1]
    if smoothing > 0:
        q = q * (1 - smoothing) + smoothing / n_classes
    if weight is not None:
        q = q * weight.reshape(-1, *(1,) * (x.ndim - 2))
    divisor = {"none": None, "sum": 1, "mean": x.numel() / n_classes}[reduction]
    loss = SoftCrossEntropy.apply(x, q, divisor=divisor)
    return _unbatched(loss, input, reduction)


def _smoothed(
    x: Tensor, target: Tensor, weight: Tensor | None, smoothing: float, how: dict[str, Any]
) -> Tensor:
    """Cross-entropy against class numbers mixed with the uniform distribution."""
    backend = x.backend
    w = None if weight is None else weight._array
    targets = _Targets(backend, x._array, target._array, w, how["ignore_index"])
    n_classes = x.shape[1]
    valid = backend.xp.expand_dims(target._array != how["ignore_index"], 1)
    q = backend.xp.full(tuple(x.shape), smoothing / n_classes, x._array.dtype)
    q[targets.key] += 1 - smoothing
    if w is not None:
        q *= w.reshape(-1, *(1,) * (x.ndim - 2))
    q *= valid
    divisor = {"none": None, "sum": 1, "mean": float(targets.total)}[how["reduction"]]
    return SoftCrossEntropy.apply(x, Tensor._wrap(q), divisor=divisor)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of log-probabilities (C,) or (N, C, *S) for class numbers (N, *S).

    Raises IndexError for a class out of range, RuntimeError or ValueError for shapes and dtypes
    that do not fit.
    """
    check_reduction(reduction)
    _check(input, target, weight)
    x, t = _batched(input, target)
    loss = NllLoss.apply(x, t, _constant(weight), ignore_index=ignore_index, reduction=reduction)
    return _unbatched(loss, input, reduction)


def _check(input: Tensor, target: Tensor, weight: Tensor | None) -> None:
    """Check scores and class numbers."""
    if input.ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if input.ndim > 1 and (target.ndim == 0 or input.shape[0] != target.shape[0]):
        given = target.shape[0] if target.ndim else 0
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({given})."
        )
    if input.ndim <= 2 and target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    wanted = [input.shape[0], *input.shape[2:]]
    if input.ndim == 4 and list(target.shape) != wanted:
        raise RuntimeError(
            f"size mismatch (got input: {list(input.shape)} , target: {list(target.shape)}"
        )
    if input.ndim > 2 and list(target.shape) != wanted:
        raise RuntimeError(f"Expected target size {wanted}, got {list(target.shape)}")
    if TYPE_NAMES[target.dtype] not in ("Long", "Byte"):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {TYPE_NAMES[target.dtype]}"
        )
    if input.ndim > 2 and target.dtype.name == "uint8":
        raise RuntimeError("expected scalar type Long but found Byte")
    _check_weight(input, weight)


def _check_weight(input: Tensor, weight: Tensor | None) -> None:
    if weight is None:
        return
    n_classes = input.shape[1] if input.ndim > 1 else input.shape[0]
    if weight.shape != (n_classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {n_classes} classes or no classes but "
            f"got weight tensor of shape: {list(weight.shape)}"
        )
    if weight.dtype != input.dtype:
        raise RuntimeError(
            f"expected scalar type {TYPE_NAMES[input.dtype]} but found {TYPE_NAMES[weight.dtype]}"
        )
