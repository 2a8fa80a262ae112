"""Rows of `ops/loss*.py`: functions of `nn.functional`, which are public there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.ops import loss, loss_class
from disttorch.testing.opspec.spec import OpSpec, Sample, array, floats, ints, sample

REDUCTIONS = ("none", "mean", "sum")


def reduced(losses: np.ndarray, reduction: str, count: Any = None) -> Any:
    """NumPy's version of a reduction."""
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else total / (losses.size if count is None else count)


def _elementwise(values: Callable[..., Any]) -> Callable[..., Any]:
    def reference(x: Any, t: Any, reduction: str = "mean", **settings: Any) -> Any:
        return reduced(values(x, t, **settings), reduction)

    return reference


def _samples(low: float = -2, high: float = 2, **settings: Any) -> tuple[Sample, ...]:
    def pair(*shape: int) -> tuple[Any, Any]:
        return floats(*shape, low=low, high=high), floats(*shape, low=low, high=high)

    return (
        *(sample(*pair(2, 3), reduction=r, **settings) for r in REDUCTIONS),
        sample(*pair(), **settings),
        sample(*pair(0, 2), reduction="sum", **settings),
    )


def _huber(x: Any, t: Any, delta: float = 1.0) -> Any:
    d = np.abs(x - t)
    return np.where(d < delta, d * d / 2, delta * (d - delta / 2))


def _bce(x: Any, t: Any) -> Any:
    return -(t * np.log(x) + (1 - t) * np.log(1 - x))


def _bce_logits(x: Any, t: Any, w: Any = None, reduction: str = "mean", p: Any = 1.0) -> Any:
    y = 1 / (1 + np.exp(-x))
    losses = -(p * t * np.log(y) + (1 - t) * np.log(1 - y))
    return reduced(losses if w is None else losses * w, reduction)


def _kl(x: Any, t: Any, log_target: bool = False) -> Any:
    return np.exp(t) * (t - x) if log_target else t * (np.log(t) - x)


ELEMENTWISE = (
    OpSpec(
        "mse_loss",
        op=loss.mse_loss,
        ref=_elementwise(lambda x, t: (x - t) ** 2),
        samples=(*_samples(), sample(floats(2, 3), floats(3), reduction="none")),
    ),
    OpSpec(
        "l1_loss", op=loss.l1_loss, ref=_elementwise(lambda x, t: abs(x - t)), samples=_samples()
    ),
    OpSpec(
        "huber_loss",
        op=loss.huber_loss,
        ref=_elementwise(_huber),
        samples=(*_samples(), *_samples(delta=0.5)),
    ),
    OpSpec(
        "smooth_l1_loss",
        op=loss.smooth_l1_loss,
        ref=_elementwise(lambda x, t, beta=1.0: _huber(x, t, beta) / beta),
        samples=(*_samples(), *_samples(beta=2.0)),
    ),
    OpSpec(
        "kl_div",
        op=loss.kl_div,
        ref=_elementwise(_kl),
        samples=(*_samples(0.1, 1), *_samples(log_target=True)),
    ),
    OpSpec(
        "binary_cross_entropy",
        op=lambda x, t, reduction="mean": loss.binary_cross_entropy(x, t, None, reduction),
        ref=_elementwise(_bce),
        samples=_samples(0.1, 0.9),
    ),
    OpSpec(
        "binary_cross_entropy_with_logits",
        op=loss.binary_cross_entropy_with_logits,
        ref=_bce_logits,
        samples=(
            *_samples(),
            sample(floats(2, 3), floats(2, 3), floats(3, low=0.5), "none", floats(3, low=0.5)),
        ),
    ),
)


def _log_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def _nll(
    x: np.ndarray, t: np.ndarray, w: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    valid = t != ignore_index
    index = np.where(valid, t, 0)[:, None]
    picked = np.take_along_axis(x, index, 1)[:, 0]
    weight = (np.ones(x.shape[1]) if w is None else w)[index[:, 0]] * valid
    return reduced(-picked * weight, reduction, weight.sum())


def _cross_entropy(
    x: np.ndarray,
    t: np.ndarray,
    w: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    log_p = _log_softmax(x)
    each = np.ones(x.shape[1]) if w is None else w
    each = each.reshape(-1, *(1,) * (x.ndim - 2))
    if t.dtype.kind == "f":
        q = t * (1 - label_smoothing) + label_smoothing / x.shape[1]
        return reduced(-(q * each * log_p).sum(1), reduction, t.size / x.shape[1])
    plain = _nll(log_p, t, w, ignore_index, reduction)
    if not label_smoothing:
        return plain
    valid = t != ignore_index
    count = (np.ones(x.shape[1]) if w is None else w)[np.where(valid, t, 0)] * valid
    spread = -(each * log_p).sum(1) * valid / x.shape[1]
    smooth = reduced(spread, reduction, count.sum())
    return plain * (1 - label_smoothing) + smooth * label_smoothing


_CLASSES = ints(4, low=0, high=3)
_SOME_IGNORED = array([0, 2, -100, 1], "int64")
_WEIGHT = array([0.5, 2.0, 1.5], "float64")
_CLASS_SAMPLES = (
    *(sample(floats(4, 3), _CLASSES, reduction=r) for r in REDUCTIONS),
    *(sample(floats(4, 3), _SOME_IGNORED, reduction=r) for r in REDUCTIONS),
    sample(floats(2, 3, 2, 2), ints(2, 2, 2, low=0, high=3)),
    sample(floats(2, 3, 4), ints(2, 4, low=0, high=3), ignore_index=1, reduction="none"),
    sample(floats(0, 3), ints(0), reduction="sum"),
)
_SMOOTH = tuple(
    sample(floats(4, 3), _SOME_IGNORED, reduction=r, label_smoothing=0.2) for r in REDUCTIONS
)
_PROBABILITIES = (
    *(sample(floats(2, 3, 2), floats(2, 3, 2, low=0.1), reduction=r) for r in REDUCTIONS),
    sample(floats(2, 3), floats(2, 3, low=0.1), label_smoothing=0.3),
)


def _weighed(op: Callable[..., Any]) -> Callable[..., Any]:
    """Class weights take no gradient."""

    def call(x: Any, t: Any, w: Any = None, **kwargs: Any) -> Any:
        return op(x, t, None if w is None else w.detach(), **kwargs)

    return call


_NO_0D = {"0-d": "needs classes"}
_NOT_OF_WEIGHT = {**_NO_0D, "empty": "as without weights", "gradcheck": "weights take no gradient"}


def _weighted_rows(name: str, ref: Callable[..., Any]) -> OpSpec:
    samples = (
        *(sample(floats(4, 3), _SOME_IGNORED, _WEIGHT, reduction=r) for r in REDUCTIONS),
        sample(floats(2, 3, 2), ints(2, 2, low=0, high=3), _WEIGHT),
    )
    op = _weighed(getattr(loss_class, name))
    return OpSpec(f"{name}_weighted", op=op, ref=ref, samples=samples, skip=_NOT_OF_WEIGHT)


CLASSES = (
    OpSpec("nll_loss", op=loss_class.nll_loss, ref=_nll, samples=_CLASS_SAMPLES, skip=_NO_0D),
    OpSpec(
        "cross_entropy",
        op=loss_class.cross_entropy,
        ref=_cross_entropy,
        samples=(*_CLASS_SAMPLES, *_SMOOTH, *_PROBABILITIES),
        skip=_NO_0D,
    ),
    _weighted_rows("nll_loss", _nll),
    _weighted_rows("cross_entropy", _cross_entropy),
)

SPECS = (*ELEMENTWISE, *CLASSES)
