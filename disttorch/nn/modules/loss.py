"""Losses as modules; `reduction` is "mean", "sum" or "none"."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from disttorch.nn.modules.function_module import FunctionModule, defaults

_LEGACY = defaults(size_average=None, reduce=None, reduction="mean")


def legacy_reduction(size_average: bool | None, reduce: bool | None) -> str:
    """Return the `reduction` that PyTorch's old arguments stand for (None: True), and warn."""
    if reduce is False:
        reduction = "none"
    else:
        reduction = "sum" if size_average is False else "mean"
    warnings.warn(
        "size_average and reduce args will be deprecated, please use "
        f"reduction='{reduction}' instead.",
        stacklevel=5,
    )
    return reduction


class _Loss(FunctionModule):
    """Part of all: old names of the reduction, and settings that are buffers."""

    settings = _LEGACY
    not_passed: ClassVar[tuple[str, ...]] = ("size_average", "reduce")
    buffer_names: ClassVar[tuple[str, ...]] = ()

    def configure(self, values: dict[str, Any]) -> None:
        """Translate the old arguments and register tensors as buffers."""
        old = (values.pop("size_average", None), values.pop("reduce", None))
        if old != (None, None):
            values["reduction"] = legacy_reduction(*old)
        for name in self.buffer_names:
            self.register_buffer(name, values.pop(name))
        super().configure(values)

    def extra_repr(self) -> str:
        """Return nothing, as PyTorch does."""
        return ""


class _WeightedLoss(_Loss):
    """A loss with a `weight` for each class."""

    settings = defaults(weight=None, **_LEGACY)
    buffer_names = ("weight",)


class L1Loss(_Loss):
    """|x - y|."""

    function = "l1_loss"


class MSELoss(_Loss):
    """(x - y)**2."""

    function = "mse_loss"


class SmoothL1Loss(_Loss):
    """(x - y)**2 / (2 beta) where that is below beta, |x - y| - beta / 2 elsewhere."""

    function = "smooth_l1_loss"
    settings = defaults(**_LEGACY, beta=1.0)


class HuberLoss(_Loss):
    """(x - y)**2 / 2 within `delta`, delta * (|x - y| - delta / 2) beyond."""

    function = "huber_loss"
    settings = defaults(reduction="mean", delta=1.0)
    not_passed = ()


class NLLLoss(_WeightedLoss):
    """Minus the log-probability of the target: (N, C, *) and int64 (N, *)."""

    function = "nll_loss"
    settings = defaults(
        weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"
    )


class CrossEntropyLoss(_WeightedLoss):
    """Cross-entropy of logits (N, C, *) with classes (N, *) or probabilities (N, C, *)."""

    function = "cross_entropy"
    settings = defaults(**NLLLoss.settings, label_smoothing=0.0)


class BCELoss(_WeightedLoss):
    """Binary cross-entropy of probabilities."""

    function = "binary_cross_entropy"


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of logits; `pos_weight` weighs positive targets."""

    function = "binary_cross_entropy_with_logits"
    settings = defaults(weight=None, **_LEGACY, pos_weight=None)
    buffer_names = ("weight", "pos_weight")


class KLDivLoss(_Loss):
    """target * (log(target) - input) for an input of log-probabilities."""

    function = "kl_div"
    settings = defaults(**_LEGACY, log_target=False)


class NLLLoss2d(NLLLoss):
    """The former name of NLLLoss for images."""
