"""Divergences between different families; infinite where one has values the other has not."""

from __future__ import annotations

import math
from typing import Any

import disttorch
from disttorch.distributions.continuous import Laplace, Normal, Uniform
from disttorch.distributions.continuous_bernoulli import ContinuousBernoulli
from disttorch.distributions.discrete import Bernoulli, Binomial, Poisson
from disttorch.distributions.gamma import Beta, Exponential, Gamma
from disttorch.distributions.kl import infinite_like, register_kl
from disttorch.distributions.parameters import euler_constant
from disttorch.distributions.transformed import Gumbel, Pareto
from disttorch.tensor import Tensor

_LOG_2_PI = math.log(2 * math.pi)

# family: the families that lack values of it, and the parameter that has the batch's shape.
_WIDER: dict[type, tuple[tuple[type, ...], str]] = {
    Beta: ((Pareto,), "concentration1"),
    ContinuousBernoulli: ((Pareto,), "probs"),
    Exponential: ((Beta, ContinuousBernoulli, Pareto, Uniform), "rate"),
    Gamma: ((Beta, ContinuousBernoulli, Pareto, Uniform), "concentration"),
    Gumbel: ((Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform), "loc"),
    Laplace: ((Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform), "loc"),
    Normal: ((Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform), "loc"),
    Pareto: ((Beta, ContinuousBernoulli, Uniform), "scale"),
    Poisson: ((Bernoulli, Binomial), "rate"),
}


def _infinite(parameter: str) -> Any:
    return lambda p, q: infinite_like(getattr(p, parameter))


for _family, (_narrower, _parameter) in _WIDER.items():
    for _other in _narrower:
        register_kl(_family, _other)(_infinite(_parameter))


def _x_log_x(x: Tensor) -> Tensor:
    return disttorch.special.xlogy(x, x)


def _against_normal(mean: Tensor, second_moment: Tensor, q: Any) -> Tensor:
    """-E[log q] for a normal q, from two moments."""
    variance = q.scale.pow(2)
    square = 0.5 * second_moment - q.loc * mean + 0.5 * q.loc.pow(2)
    return 0.5 * (variance.log() + _LOG_2_PI) + square / variance


def _against_gamma(mean: Tensor, mean_log: Tensor, q: Any) -> Tensor:
    """-E[log q] for a gamma q, from the means of x and log x."""
    normalizer = q.concentration.lgamma() - q.concentration * q.rate.log()
    return normalizer - (q.concentration - 1) * mean_log + q.rate * mean


def _gamma_moments(p: Any) -> tuple[Tensor, Tensor]:
    """Mean and mean square of a gamma distribution."""
    return p.mean, (p.concentration.pow(2) + p.concentration) / p.rate.pow(2)


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Tensor:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, ContinuousBernoulli)
@register_kl(Uniform, ContinuousBernoulli)
def _to_continuous_bernoulli(p: Any, q: Any) -> Tensor:
    result = -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._cont_bern_log_norm()
    if not isinstance(p, Uniform):
        return result
    outside = (p.high >= q.support.upper_bound) | (p.low <= q.support.lower_bound)
    return result.masked_fill(outside, math.inf)


@register_kl(Beta, Exponential)
@register_kl(ContinuousBernoulli, Exponential)
@register_kl(Gamma, Exponential)
def _to_exponential(p: Any, q: Any) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Gamma)
def _beta_gamma(p: Any, q: Any) -> Tensor:
    total = p.concentration1 + p.concentration0
    mean_log = p.concentration1.digamma() - total.digamma()
    return -p.entropy() + _against_gamma(p.mean, mean_log, q)


@register_kl(Beta, Normal)
@register_kl(ContinuousBernoulli, Normal)
@register_kl(Uniform, Normal)
def _to_normal(p: Any, q: Any) -> Tensor:
    return -p.entropy() + _against_normal(p.mean, p.variance + p.mean.pow(2), q)


@register_kl(Beta, Uniform)
def _beta_uniform(p: Any, q: Any) -> Tensor:
    result = -p.entropy() + (q.high - q.low).log()
    return result.masked_fill((q.low > 0) | (q.high < 1), math.inf)


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_bernoulli_uniform(p: Any, q: Any) -> Tensor:
    result = -p.entropy() + (q.high - q.low).log()
    return result.masked_fill((q.low >= 0) | (q.high <= 1), math.inf)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Tensor:
    ratio, a = q.rate / p.rate, q.concentration
    return -a * ratio.log() + ratio + a.lgamma() + a * euler_constant - (1 + euler_constant)


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Any, q: Any) -> Tensor:
    product, at = p.rate * q.scale, q.loc / q.scale
    return product.log() - 1 - at + at.exp() * product / (product + 1) + product.reciprocal()


@register_kl(Exponential, Normal)
def _exponential_normal(p: Any, q: Any) -> Tensor:
    return -p.entropy() + _against_normal(p.mean, 2 * p.mean.pow(2), q)


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Any, q: Any) -> Tensor:
    a, product, at = p.concentration, p.rate * q.scale, q.loc / q.scale
    of_p = (a - 1) * a.digamma() - a.lgamma() - a + product.log() + a / product
    return of_p + at.exp() * (1 + product.reciprocal()).pow(-a) - at


@register_kl(Gamma, Normal)
def _gamma_normal(p: Any, q: Any) -> Tensor:
    return -p.entropy() + _against_normal(*_gamma_moments(p), q)


@register_kl(Gumbel, Normal)
@register_kl(Laplace, Normal)
def _moments_normal(p: Any, q: Any) -> Tensor:
    return -p.entropy() + _against_normal(p.mean, p.variance + p.mean.pow(2), q)


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Tensor:
    at, spread = (p.loc - q.loc) / q.scale, (p.scale / q.scale).pow(2)
    return -0.5 * spread.log() + at + (-at + 0.5 * spread).exp() - 0.5 * (1 + _LOG_2_PI)


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Tensor:
    distance = p.loc - q.loc
    z = distance / p.scale
    near = math.sqrt(2 / math.pi) * p.scale * (-0.5 * z.pow(2)).exp()
    mean_distance = near + distance * disttorch.erf(math.sqrt(0.5) * z)
    constant = 0.5 * (1 + math.log(0.5 * math.pi))
    return -(p.scale / q.scale).log() + mean_distance / q.scale - constant


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Any, q: Any) -> Tensor:
    product = p.scale * q.rate
    rest = p.alpha * product / (p.alpha - 1) - p.alpha.reciprocal() - 1
    return ((p.alpha / product).log() + rest).masked_fill(p.alpha <= 1, math.inf)


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Any, q: Any) -> Tensor:
    mean_log = p.scale.log() + p.alpha.reciprocal()
    mean = p.alpha * p.scale / (p.alpha - 1)
    result = p.alpha.log() - mean_log - 1 + _against_gamma(mean, mean_log, q)
    return result.masked_fill(p.alpha <= 1, math.inf)


@register_kl(Pareto, Normal)
def _pareto_normal(p: Any, q: Any) -> Tensor:
    mean = p.alpha * p.scale / (p.alpha - 1)
    second = p.alpha * p.scale.pow(2) / (p.alpha - 2)
    result = -p.entropy() + _against_normal(mean, second, q)
    return result.masked_fill(p.alpha <= 2, math.inf)


def _mean_log(low: Tensor, high: Tensor) -> Tensor:
    """The mean of log x over an interval."""
    width = high - low
    return (_x_log_x(high) - _x_log_x(low) - width) / width


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Tensor:
    a, b = q.concentration1, q.concentration0
    below = (a - 1) * _mean_log(p.low, p.high)
    above = (b - 1) * _mean_log(1 - p.high, 1 - p.low)
    result = a.lgamma() + b.lgamma() - (a + b).lgamma() - (p.high - p.low).log() - below - above
    return result.masked_fill((p.high > 1) | (p.low < 0), math.inf)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Tensor:
    result = q.rate * (p.high + p.low) / 2 - ((p.high - p.low) * q.rate).log()
    return result.masked_fill(p.low < 0, math.inf)


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Any, q: Any) -> Tensor:
    result = -p.entropy() + _against_gamma(p.mean, _mean_log(p.low, p.high), q)
    return result.masked_fill(p.low < 0, math.inf)


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Any, q: Any) -> Tensor:
    share = q.scale / (p.high - p.low)
    high, low = (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    return share.log() + 0.5 * (high + low) - share * ((-high).exp() - (-low).exp())


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Tensor:
    constant = (q.alpha * q.scale.pow(q.alpha) * (p.high - p.low)).log()
    result = _mean_log(p.low, p.high) * (q.alpha + 1) - constant
    return result.masked_fill(p.low < q.scale, math.inf)
