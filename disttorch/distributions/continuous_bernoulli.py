"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any

import disttorch
from disttorch.distributions import constraints
from disttorch.distributions.discrete import PROBS_OR_LOGITS, binary_cross_entropy
from disttorch.distributions.distribution import (
    ExponentialFamily,
    ProbsOrLogits,
)
from disttorch.distributions.parameters import (
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
    uniform,
)
from disttorch.tensor import Tensor


class ContinuousBernoulli(ProbsOrLogits, ExponentialFamily):
    """Numbers of [0, 1] with a density that is exponential in them.

    Between the two numbers `lims` around one half the formulas are replaced by their Taylor series.
    """

    arg_constraints = PROBS_OR_LOGITS
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0.0
    _kept = ("_lims",)

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._lims = lims
        if probs is not None and logits is None:
            (given,) = broadcast_all(probs)
            inside = constraints.unit_interval.check(given).all()
            if validate_args is not None and not inside:
                raise ValueError("The parameter probs has invalid values")
            probs = clamp_probs(given)
        self._set_either(probs, logits, validate_args)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities, away from 0 and 1."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _stable(self) -> Tensor:
        """Where the formulas may be used."""
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut_probs(self) -> Tensor:
        return disttorch.where(self._stable(), self.probs, self._lims[0])

    def _log_odds(self) -> tuple[Tensor, Tensor]:
        p = self._cut_probs()
        return p, (-p).log1p() - p.log()

    def _cont_bern_log_norm(self) -> Tensor:
        """Log of the normalising constant."""
        p, odds = self._log_odds()
        low = disttorch.where(p <= 0.5, p, 0.0)
        high = disttorch.where(p >= 0.5, p, 1.0)
        width = disttorch.where(p <= 0.5, (-2.0 * low).log1p(), (2.0 * high - 1.0).log())
        x = (self.probs - 0.5).pow(2)
        taylor = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return disttorch.where(self._stable(), odds.abs().log() - width, taylor)

    @property
    def mean(self) -> Tensor:
        p, odds = self._log_odds()
        x = self.probs - 0.5
        taylor = 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x
        return disttorch.where(self._stable(), p / (2.0 * p - 1.0) + 1.0 / odds, taylor)

    @property
    def variance(self) -> Tensor:
        p, odds = self._log_odds()
        x = (self.probs - 0.5).pow(2)
        taylor = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        exact = p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / odds.pow(2)
        return disttorch.where(self._stable(), exact, taylor)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(uniform(self._extended_shape(sample_shape), self.probs))

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy(logits, value) + self._cont_bern_log_norm()

    def cdf(self, value: Tensor) -> Tensor:
        self._checked(value)
        p = self._cut_probs()
        exact = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inside = disttorch.where(self._stable(), exact, value)
        return disttorch.where(value <= 0.0, 0.0, disttorch.where(value >= 1.0, 1.0, inside))

    def icdf(self, value: Tensor) -> Tensor:
        p = self._cut_probs()
        rest = (-p).log1p()
        exact = ((-p + value * (2.0 * p - 1.0)).log1p() - rest) / (p.log() - rest)
        return disttorch.where(self._stable(), exact, value)

    def entropy(self) -> Tensor:
        rest = (-self.probs).log1p()
        return self.mean * (rest - self.probs.log()) - self._cont_bern_log_norm() - rest

    @property
    def _natural_params(self) -> tuple[Tensor]:
        return (self.logits,)

    def _log_normalizer(self, x: Tensor) -> Tensor:
        stable = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        cut = disttorch.where(stable, x, self._lims[0] - 0.5)
        taylor = 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0
        return disttorch.where(stable, cut.expm1().abs().log() - cut.abs().log(), taylor)
