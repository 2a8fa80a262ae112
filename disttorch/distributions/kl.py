"""`kl_divergence`: a table of formulas by pairs of families; those of one family with itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import disttorch
from disttorch import autograd, linalg
from disttorch.distributions.categorical import Categorical, OneHotCategorical
from disttorch.distributions.composed import Independent, TransformedDistribution
from disttorch.distributions.continuous import Cauchy, Laplace, Normal, Uniform
from disttorch.distributions.continuous_bernoulli import ContinuousBernoulli
from disttorch.distributions.discrete import Bernoulli, Binomial, Geometric, Poisson
from disttorch.distributions.distribution import Distribution, ExponentialFamily
from disttorch.distributions.gamma import Beta, Dirichlet, Exponential, Gamma
from disttorch.distributions.multivariate import (
    LowRankMultivariateNormal,
    MultivariateNormal,
    half_log_det,
    low_rank_log_det,
    low_rank_mahalanobis,
    mahalanobis,
)
from disttorch.distributions.parameters import euler_constant, sum_rightmost
from disttorch.distributions.transformed import Gumbel, HalfNormal, Pareto
from disttorch.nn.functional import softplus
from disttorch.tensor import Tensor

Formula = Callable[[Any, Any], Tensor]
_KL_REGISTRY: dict[tuple[type, type], Formula] = {}
_KL_MEMOIZE: dict[tuple[type, type], Any] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Formula], Formula]:
    """Decorate a function (p, q) -> KL(p || q) for two families and their subclasses."""

    def enter(formula: Formula) -> Formula:
        _KL_REGISTRY[type_p, type_q] = formula
        _KL_MEMOIZE.clear()
        return formula

    return enter


def _nearest(pairs: list[tuple[type, ...]]) -> tuple[type, ...]:
    """The pair whose first class is most derived, and then whose second is."""
    best = pairs[0]
    for pair in pairs[1:]:
        for a, b in zip(pair, best, strict=True):
            if a is not b:
                best = pair if issubclass(a, b) else best
                break
    return best


def _dispatch(type_p: type, type_q: type) -> Any:
    """The formula for two classes; warns if the two would choose different ones."""
    matches = [(p, q) for p, q in _KL_REGISTRY if issubclass(type_p, p) and issubclass(type_q, q)]
    if not matches:
        return NotImplemented
    left_p, left_q = _nearest(matches)
    right_q, right_p = _nearest([(q, p) for p, q in matches])
    if _KL_REGISTRY[left_p, left_q] is not _KL_REGISTRY[right_p, right_q]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please "
            f"register_kl({left_p.__name__}, {right_q.__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _KL_REGISTRY[left_p, left_q]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """Return KL(p || q) for each element of the batch; NotImplementedError for unknown pairs."""
    key = type(p), type(q)
    if key not in _KL_MEMOIZE:
        _KL_MEMOIZE[key] = _dispatch(*key)
    formula = _KL_MEMOIZE[key]
    if formula is NotImplemented:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type "
            f"{type(q).__name__}"
        )
    return formula(p, q)


# ---- a family with itself -------------------------------------------------------------------


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Tensor:
    ones = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    ones = ones.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0)
    zeros = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    return ones + zeros.masked_fill(q.probs == 1, math.inf).masked_fill(p.probs == 1, 0)


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Tensor:
    sum_p, sum_q = p.concentration1 + p.concentration0, q.concentration1 + q.concentration0
    t1 = q.concentration1.lgamma() + q.concentration0.lgamma() + sum_p.lgamma()
    t2 = p.concentration1.lgamma() + p.concentration0.lgamma() + sum_q.lgamma()
    t3 = (p.concentration1 - q.concentration1) * p.concentration1.digamma()
    t4 = (p.concentration0 - q.concentration0) * p.concentration0.digamma()
    return t1 - t2 + t3 + t4 + (sum_q - sum_p) * sum_p.digamma()


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Tensor:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    odds = p.probs * (p.logits - q.logits)
    kl = p.total_count * (odds + (-p.probs).log1p() - (-q.probs).log1p())
    return kl.masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Tensor:
    t = p.probs * (p.logits - q.logits)
    return t.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Tensor:
    of_p = p._cont_bern_log_norm() + (-p.probs).log1p()
    of_q = q._cont_bern_log_norm() + (-q.probs).log1p()
    return p.mean * (p.logits - q.logits) + of_p - of_q


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    totals = a.sum(-1).lgamma() - b.sum(-1).lgamma()
    slopes = (a - b) * (a.digamma() - a.sum(-1).digamma().unsqueeze(-1))
    return totals - (a.lgamma() - b.lgamma()).sum(-1) + slopes.sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Tensor:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: Any, q: Any) -> Tensor:
    """A Bregman divergence of the log normalizers."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot "
            f"{' ' * 28}be computed using Bregman divergences"
        )
    natural = [t.detach().requires_grad_() for t in p._natural_params]
    normalizer = p._log_normalizer(*natural)
    gradients = autograd.grad(normalizer.sum(), natural, create_graph=True)
    result = q._log_normalizer(*q._natural_params) - normalizer
    for of_p, of_q, g in zip(natural, q._natural_params, gradients, strict=True):
        result = result - sum_rightmost((of_q - of_p) * g, len(q.event_shape))
    return result


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    t1 = b * (p.rate / q.rate).log() + b.lgamma() - a.lgamma()
    return t1 + (a - b) * a.digamma() + (q.rate - p.rate) * (a / p.rate)


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Tensor:
    ratio, at_q, at_p = p.scale / q.scale, q.loc / q.scale, p.loc / q.scale
    t1 = -ratio.log() - at_q + at_p + ratio * euler_constant
    return t1 + (at_q + (1 + ratio).lgamma() - at_p).exp() - (1 + euler_constant)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Tensor:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * (-distance / p.scale).exp() - 1


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Tensor:
    ratio = q.alpha / p.alpha
    result = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return result.masked_fill(p.scale < q.scale, math.inf)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Tensor:
    both = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return both.log() - (4 * p.scale * q.scale).log()


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Tensor:
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return result.masked_fill((q.low > p.low) | (q.high < p.high), math.inf)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


# ---- normal vectors -------------------------------------------------------------------------


def _squares(matrix: Tensor) -> Tensor:
    """Sum of the squares of all entries of each matrix."""
    return matrix.pow(2).sum((-2, -1))


def _same_events(p: Any, q: Any, what: str) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"KL-divergence between two {what}Multivariate Normals with{' ' * 26}different event "
            "shapes cannot be computed"
        )


@register_kl(MultivariateNormal, MultivariateNormal)
def _mvn(p: Any, q: Any) -> Tensor:
    _same_events(p, q, "")
    of_p, of_q = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    trace = _squares(linalg.solve_triangular(of_q, of_p, upper=False))
    distance = mahalanobis(of_q, q.loc - p.loc)
    return half_log_det(of_q) - half_log_det(of_p) + 0.5 * (trace + distance - p.event_shape[0])


def _into_low_rank(q: Any) -> Tensor:
    """The triangular solve that the traces against a low-rank covariance share."""
    weights = q._unbroadcasted_cov_factor.mT / q._unbroadcasted_cov_diag.unsqueeze(-2)
    return linalg.solve_triangular(q._capacitance_tril, weights, upper=False)


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _low_rank(p: Any, q: Any) -> Tensor:
    _same_events(p, q, "Low Rank ")
    a, factor, diagonal = _into_low_rank(q), p._unbroadcasted_cov_factor, p._unbroadcasted_cov_diag
    trace = (
        (diagonal / q._unbroadcasted_cov_diag).sum(-1)
        + _squares(factor * q._unbroadcasted_cov_diag.rsqrt().unsqueeze(-1))
        - _squares(a * diagonal.sqrt().unsqueeze(-2))
        - _squares(a @ factor)
    )
    log_det = low_rank_log_det(q) - low_rank_log_det(p)
    return 0.5 * (log_det + trace + low_rank_mahalanobis(q, q.loc - p.loc) - p.event_shape[0])


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _mvn_low_rank(p: Any, q: Any) -> Tensor:
    _same_events(p, q, "(Low Rank) ")
    lower = p._unbroadcasted_scale_tril
    scaled = lower * q._unbroadcasted_cov_diag.rsqrt().unsqueeze(-1)
    trace = _squares(scaled) - _squares(_into_low_rank(q) @ lower)
    log_det = low_rank_log_det(q) - 2 * half_log_det(lower)
    return 0.5 * (log_det + trace + low_rank_mahalanobis(q, q.loc - p.loc) - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _low_rank_mvn(p: Any, q: Any) -> Tensor:
    _same_events(p, q, "(Low Rank) ")
    lower = q._unbroadcasted_scale_tril
    parts = (p._unbroadcasted_cov_factor, p._unbroadcasted_cov_diag.sqrt().diag_embed())
    traces = [_squares(linalg.solve_triangular(lower, part, upper=False)) for part in parts]
    log_det = 2 * half_log_det(lower) - low_rank_log_det(p)
    distance = mahalanobis(lower, q.loc - p.loc)
    return 0.5 * (log_det + traces[0] + traces[1] + distance - p.event_shape[0])


def infinite_like(tensor: Tensor) -> Tensor:
    """A tensor of infinities."""
    return disttorch.full_like(tensor, math.inf)
