"""Distributions of real numbers given by location and scale, and their relatives."""

from __future__ import annotations

import math
from typing import Any

import disttorch
from disttorch.autograd.grad_mode import no_grad
from disttorch.distributions import constraints
from disttorch.distributions.distribution import Broadcast, ExponentialFamily, full
from disttorch.distributions.gamma import Chi2
from disttorch.distributions.parameters import lazy_property, standard_normal, uniform
from disttorch.dtype import finfo, float64
from disttorch.size import Size
from disttorch.tensor import Tensor

_LOC_SCALE = {"loc": constraints.real, "scale": constraints.positive}


class _LocScale(Broadcast):
    """A family of one shape, moved by `loc` and stretched by `scale`."""

    arg_constraints = _LOC_SCALE
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._set(validate_args, loc=loc, scale=scale)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def mean(self) -> Tensor:
        return self.loc


class Normal(_LocScale, ExponentialFamily):
    """The normal distribution with mean `loc` and standard deviation `scale`."""

    _mean_carrier_measure = 0.0

    @property
    def stddev(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        return self.scale.pow(2)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return disttorch.normal(self.loc.expand(shape), self.scale.expand(shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + standard_normal(self._extended_shape(sample_shape), self.loc) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        quadratic = -((value - self.loc) ** 2) / (2 * self.scale**2)
        return quadratic - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def cdf(self, value: Tensor) -> Tensor:
        self._checked(value)
        z = (value - self.loc) * self.scale.reciprocal() / math.sqrt(2)
        return 0.5 * (1 + disttorch.erf(z))

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * disttorch.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()

    @property
    def _natural_params(self) -> tuple[Tensor, Tensor]:
        return self.loc / self.scale.pow(2), -0.5 * self.scale.pow(2).reciprocal()

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:
        return -0.25 * x.pow(2) / y + 0.5 * (-math.pi / y).log()


class Laplace(_LocScale):
    """Two exponential distributions back to back."""

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale.pow(2)

    @property
    def stddev(self) -> Tensor:
        return 2**0.5 * self.scale

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        like: Any = {"dtype": self.loc.dtype, "device": self.loc.device}
        u = disttorch.empty(shape, **like).uniform_(finfo(self.loc.dtype).eps - 1, 1)
        return self.loc - self.scale * u.sign() * (-u.abs()).log1p()

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def cdf(self, value: Tensor) -> Tensor:
        self._checked(value)
        distance = value - self.loc
        return 0.5 - 0.5 * distance.sign() * (-distance.abs() / self.scale).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        term = value - 0.5
        return self.loc - self.scale * term.sign() * (-2 * term.abs()).log1p()

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()


class Cauchy(_LocScale):
    """The ratio of two normal numbers; it has no mean."""

    @property
    def mean(self) -> Tensor:
        return full(self, math.nan, self.loc)

    @property
    def variance(self) -> Tensor:
        return full(self, math.inf, self.loc)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        like: Any = {"dtype": self.loc.dtype, "device": self.loc.device}
        return self.loc + disttorch.empty(shape, **like).cauchy_() * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        z = (value - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - (z**2).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        self._checked(value)
        return disttorch.atan((value - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        return disttorch.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()


class Uniform(Broadcast):
    """Equal density on [low, high)."""

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self._set(validate_args, low=low, high=high)

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        return {
            "low": constraints.less_than(self.high),
            "high": constraints.greater_than(self.low),
        }

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Tensor:
        return math.nan * self.high

    @property
    def stddev(self) -> Tensor:
        return (self.high - self.low) / 12**0.5

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).pow(2) / 12

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = uniform(self._extended_shape(sample_shape), self.low)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        inside = self.low.le(value).type_as(self.low) * self.high.gt(value).type_as(self.low)
        return inside.log() - (self.high - self.low).log()

    def cdf(self, value: Tensor) -> Tensor:
        self._checked(value)
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value: Tensor) -> Tensor:
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()


class StudentT(Broadcast):
    """A normal number over the root of a chi-squared one with `df` degrees of freedom."""

    arg_constraints = {"df": constraints.positive, **_LOC_SCALE}
    support = constraints.real
    has_rsample = True
    _parts = ("_chi2",)

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self._set(validate_args, df=df, loc=loc, scale=scale)
        self._chi2 = Chi2(self.df)

    @property
    def mean(self) -> Tensor:
        return self.loc.masked_fill(self.df <= 1, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        safe = disttorch.where(self.df > 2, self.df, 3.0)
        finite = self.scale.pow(2) * safe / (safe - 2)
        infinite = finite.masked_fill(self.df <= 2, math.inf)
        return infinite.masked_fill(self.df <= 1, math.nan)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        x = standard_normal(self._extended_shape(sample_shape), self.df)
        z = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * x * (z / self.df).rsqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        y = (value - self.loc) / self.scale
        half, next_half = 0.5 * self.df, 0.5 * (self.df + 1.0)
        normalizer = (
            self.scale.log()
            + 0.5 * (self.df.log() + math.log(math.pi))
            + half.lgamma()
            - next_half.lgamma()
        )
        return -next_half * (y**2.0 / self.df).log1p() - normalizer

    def entropy(self) -> Tensor:
        half, next_half = 0.5 * self.df, 0.5 * (self.df + 1)
        log_beta = half.lgamma() + math.lgamma(0.5) - next_half.lgamma()
        slope = next_half * (next_half.digamma() - half.digamma())
        return self.scale.log() + slope + 0.5 * self.df.log() + log_beta


class GeneralizedPareto(Broadcast):
    """What exceeds a high threshold: tail index `concentration`, start `loc`, width `scale`."""

    arg_constraints = {**_LOC_SCALE, "concentration": constraints.real}
    has_rsample = True

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self._set(validate_args, loc=loc, scale=scale, concentration=concentration)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        end = self.loc - self.scale / self.concentration
        upper = disttorch.where(self.concentration < 0, end, math.inf)
        return constraints.interval(self.loc, upper)

    def _exponential(self) -> tuple[Tensor, Tensor]:
        """Where the tail is exponential, and concentrations to divide by elsewhere."""
        zero = disttorch.isclose(self.concentration, disttorch.zeros_like(self.concentration))
        return zero, disttorch.where(
            zero, disttorch.ones_like(self.concentration), self.concentration
        )

    def _z(self, value: Tensor) -> Tensor:
        return (value - self.loc) / self.scale

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(uniform(self._extended_shape(sample_shape), self.loc))

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        z = self._z(value)
        zero, safe = self._exponential()
        y = 1 / safe + disttorch.ones_like(z)
        power = disttorch.where(y == 0, y, y * (safe * z).log1p())
        return -self.scale.log() - disttorch.where(zero, z, power)

    def log_survival_function(self, value: Tensor) -> Tensor:
        """Return the logarithm of the probability of values above `value`."""
        self._checked(value)
        z = self._z(value)
        zero, safe = self._exponential()
        return disttorch.where(zero, -z, -(safe * z).log1p() / safe)

    def log_cdf(self, value: Tensor) -> Tensor:
        """Return the logarithm of the probability of values up to `value`."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        zero, safe = self._exponential()
        log_u = (-value).log1p()
        power = self.loc + self.scale / safe * (-safe * log_u).expm1()
        return disttorch.where(zero, self.loc - self.scale * log_u, power)

    @property
    def mean(self) -> Tensor:
        valid = self.concentration < 1
        safe = disttorch.where(valid, self.concentration, 0.5)
        return disttorch.where(valid, self.loc + self.scale / (1 - safe), math.nan)

    @property
    def variance(self) -> Tensor:
        valid = self.concentration < 0.5
        safe = disttorch.where(valid, self.concentration, 0.25)
        result = self.scale**2 / ((1 - safe) ** 2 * (1 - 2 * safe))
        return disttorch.where(valid, result, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    def entropy(self) -> Tensor:
        return (self.scale.log() + self.concentration + 1).expand(self._batch_shape)


# Polynomials for log I0 and log I1: in (x / 3.75)**2 below 3.75, in 3.75 / x above.
_BESSEL_SMALL = (
    (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2),
    (0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3),
)
_BESSEL_LARGE = (
    (
        *(0.39894228, 0.1328592e-1, 0.225319e-2, -0.157565e-2, 0.916281e-2),
        *(-0.2057706e-1, 0.2635537e-1, -0.1647633e-1, 0.392377e-2),
    ),
    (
        *(0.39894228, -0.3988024e-1, -0.362018e-2, 0.163801e-2, -0.1031555e-1),
        *(0.2282967e-1, -0.2895312e-1, 0.1787654e-1, -0.420059e-2),
    ),
)
_BESSEL_EDGE = 3.75


def _polynomial(y: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    result: Any = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        result = c + y * result
    return result


def _log_bessel(x: Tensor, order: int) -> Tensor:
    """Log of the modified Bessel function of the first kind, order 0 or 1."""
    small = _polynomial((x / _BESSEL_EDGE) ** 2, _BESSEL_SMALL[order])
    if order == 1:
        small = x.abs() * small
    large = x - 0.5 * x.log() + _polynomial(_BESSEL_EDGE / x, _BESSEL_LARGE[order]).log()
    return disttorch.where(x < _BESSEL_EDGE, small.log(), large)


class VonMises(Broadcast):
    """Angles around `loc`, the more concentrated the larger `concentration`."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self._set(validate_args, loc=loc, concentration=concentration)

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        angle = self.concentration * disttorch.cos(value - self.loc)
        return angle - math.log(2 * math.pi) - _log_bessel(self.concentration, 0)

    def _proposal(self) -> tuple[Tensor, Tensor]:
        """Concentration and the parameter of a wrapped Cauchy proposal, in float64."""
        kappa = self.concentration.to(float64)
        tau = 1 + (1 + 4 * kappa**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        r = (1 + rho**2) / (2 * rho)
        return kappa, disttorch.where(kappa < 1e-5, 1 / kappa + kappa, r)

    @no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw by rejection from a wrapped Cauchy distribution."""
        shape = self._extended_shape(sample_shape)
        kappa, r = self._proposal()
        x = disttorch.zeros(shape, dtype=float64, device=self.loc.device)
        done = disttorch.zeros(shape, dtype=disttorch.bool, device=self.loc.device)
        while not done.all():
            u1, u2, u3 = uniform(Size((3,)) + shape, kappa).unbind()
            z = (math.pi * u1).cos()
            f = (1 + r * z) / (r + z)
            c = kappa * (r - f)
            accept = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
            x = disttorch.where(accept, (u3 - 0.5).sign() * f.acos(), x)
            done = done | accept
        angle = (x + math.pi + self.loc.to(float64)) % (2 * math.pi) - math.pi
        return angle.to(self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        """The circular mean."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        """The circular variance."""
        return 1 - (_log_bessel(self.concentration, 1) - _log_bessel(self.concentration, 0)).exp()
