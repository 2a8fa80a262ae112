"""Losses that ask for a margin, and likelihoods, as modules."""

from __future__ import annotations

from typing import Any

from disttorch.nn.modules.distance import PairwiseDistance
from disttorch.nn.modules.function_module import defaults
from disttorch.nn.modules.loss import _LEGACY, _Loss, _WeightedLoss


class MarginRankingLoss(_Loss):
    """max(0, -target (input1 - input2) + margin)."""

    function = "margin_ranking_loss"
    settings = defaults(margin=0.0, **_LEGACY)


class HingeEmbeddingLoss(_Loss):
    """`input` where target is 1, max(0, margin - input) where it is -1."""

    function = "hinge_embedding_loss"
    settings = defaults(margin=1.0, **_LEGACY)


class SoftMarginLoss(_Loss):
    """log(1 + exp(-target input))."""

    function = "soft_margin_loss"


class CosineEmbeddingLoss(_Loss):
    """1 - cos where target is 1, max(0, cos - margin) where it is -1."""

    function = "cosine_embedding_loss"
    settings = defaults(margin=0.0, **_LEGACY)


class MultiLabelMarginLoss(_Loss):
    """Margins between the scores of a row's labels and of all other classes."""

    function = "multilabel_margin_loss"


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Mean over the classes of the cross-entropy of sigmoid(input)."""

    function = "multilabel_soft_margin_loss"


class MultiMarginLoss(_WeightedLoss):
    """Margins between the target's score and those of the other classes."""

    function = "multi_margin_loss"
    settings = defaults(p=1, margin=1.0, weight=None, **_LEGACY)

    def configure(self, values: dict[str, Any]) -> None:
        """ValueError for another power than 1 or 2 and for a weight of another rank than 1."""
        if values["p"] not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        weight = values["weight"]
        if weight is not None and weight.ndim != 1:
            raise ValueError(
                "MultiMarginLoss: expected weight to be None or 1D tensor, got "
                f"{weight.ndim}D instead"
            )
        super().configure(values)


class TripletMarginLoss(_Loss):
    """max(0, margin + |anchor - positive| - |anchor - negative|)."""

    function = "triplet_margin_loss"
    settings = defaults(margin=1.0, p=2.0, eps=1e-6, swap=False, **_LEGACY)

    def configure(self, values: dict[str, Any]) -> None:
        """ValueError unless the margin is positive."""
        _check_margin(type(self).__name__, values["margin"])
        super().configure(values)


class TripletMarginWithDistanceLoss(_Loss):
    """TripletMarginLoss with any distance, by default the Euclidean one."""

    function = "triplet_margin_with_distance_loss"
    settings = defaults(distance_function=None, margin=1.0, swap=False, reduction="mean")
    keyword_only = True
    not_passed = ()

    def configure(self, values: dict[str, Any]) -> None:
        """ValueError unless the margin is positive."""
        _check_margin(type(self).__name__, values["margin"])
        if values["distance_function"] is None:
            values["distance_function"] = PairwiseDistance()
        super().configure(values)


def _check_margin(name: str, margin: float) -> None:
    if margin <= 0:
        raise ValueError(f"{name}: expected margin to be greater than 0, got {margin} instead")


class PoissonNLLLoss(_Loss):
    """Negative log-likelihood of counts under a Poisson distribution."""

    function = "poisson_nll_loss"
    settings = defaults(
        log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"
    )


class GaussianNLLLoss(_Loss):
    """Negative log-likelihood under a normal distribution: (input, target, var)."""

    function = "gaussian_nll_loss"
    settings = defaults(full=False, eps=1e-6, reduction="mean")
    keyword_only = True
    not_passed = ()


class CTCLoss(_Loss):
    """-log probability of label sequences: (log_probs, targets, input_lengths, target_lengths)."""

    function = "ctc_loss"
    settings = defaults(blank=0, reduction="mean", zero_infinity=False)
    not_passed = ()
