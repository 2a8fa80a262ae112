"""Rows of `disttorch.special`: what no family of `ops` has. References are series and integrals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch import special
from disttorch.testing.opspec.pointwise_special import each
from disttorch.testing.opspec.spec import OpSpec, Sample, binary, elementwise, floats, ints, sample


def integral(integrand: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """1 / pi times the integral of ``integrand(x, t)``, even in t, over half a period."""
    t = (np.arange(256) + 0.5) * (math.pi / 256)
    return lambda x: integrand(np.asarray(x)[..., None], t).mean(-1)


def normal_probability(x: float) -> float:
    """Probability of values below x."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def inverse_probability(p: float) -> float:
    """Solve normal_probability(x) = p by bisection."""
    low, high = -10.0, 10.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if normal_probability(middle) < p else (low, middle)
    return low


def hurwitz(s: float, q: np.ndarray) -> np.ndarray:
    """The zeta function by its series, its tail as an integral."""
    k = np.arange(20000.0).reshape((-1,) + (1,) * np.ndim(q))
    return np.asarray((1 / (q + k) ** s).sum(0) + (q + 20000 - 0.5) ** (1 - s) / (s - 1))


def polynomial(basis: Any) -> Callable[[np.ndarray, Any], np.ndarray]:
    """NumPy's polynomial of each degree in `n`, broadcast."""

    def value(x: np.ndarray, n: Any) -> np.ndarray:
        x, n = np.broadcast_arrays(x, n)
        each_value = [basis(v, [0] * int(d) + [1]) for v, d in zip(x.flat, n.flat, strict=True)]
        return np.asarray(each_value, np.float64).reshape(x.shape)

    return value


def row(name: str, ref: Callable[..., Any], samples: tuple[Sample, ...], **checks: Any) -> OpSpec:
    """A row of a function of `disttorch.special`."""
    return OpSpec(name, op=getattr(special, name), ref=ref, samples=samples, **checks)


def _shifted(prefix: str, of_angle: Callable[[Any, Any], Any]) -> Callable[..., np.ndarray]:
    """A Chebyshev polynomial, of 2 x - 1 if shifted, by its trigonometric definition."""

    def value(x: np.ndarray, n: Any) -> np.ndarray:
        return np.asarray(of_angle(np.arccos(2 * x - 1 if prefix else x), n) * np.ones_like(x))

    return value


_INSIDE = tuple(
    sample(floats(*s, low=0.05, high=0.95), degree)
    for s, degree in (((), 0), ((3,), 1), ((2, 3), 5), ((2, 0), 2), ((2, 3), ints(3, low=0)))
)
_BY_ANGLE = {
    "t": lambda a, n: np.cos(n * a),
    "u": lambda a, n: np.sin((n + 1) * a) / np.sin(a),
    "v": lambda a, n: np.cos((n + 0.5) * a) / np.cos(a / 2),
    "w": lambda a, n: np.sin((n + 0.5) * a) / np.sin(a / 2),
}
_POLYNOMIALS = {
    "hermite_polynomial_h": np.polynomial.hermite.hermval,
    "hermite_polynomial_he": np.polynomial.hermite_e.hermeval,
    "laguerre_polynomial_l": np.polynomial.laguerre.lagval,
    "legendre_polynomial_p": np.polynomial.legendre.legval,
}
_POSITIVE = elementwise(0.1, 3)
_OF_PROBABILITY = elementwise(0.05, 0.95)

SPECS = (
    row("ndtr", each(normal_probability), elementwise(-3, 3), integers="float"),
    row("log_ndtr", each(lambda x: math.log(normal_probability(x))), elementwise(-5, 3)),
    row("ndtri", each(inverse_probability), _OF_PROBABILITY, rtol=1e-9),
    row("erfcx", each(lambda x: math.exp(x * x) * math.erfc(x)), elementwise(-2, 4), rtol=1e-9),
    row("entr", lambda x: -x * np.log(x), _POSITIVE),
    row("xlog1py", lambda x, y: x * np.log1p(y), binary(floats, lambda *s: floats(*s, low=-0.8))),
    row("zeta", hurwitz, tuple(sample(2.5, x.args[0]) for x in _POSITIVE), rtol=1e-8),
    row("i0e", integral(lambda x, t: np.exp(x * np.cos(t) - np.abs(x))), elementwise(-3, 3)),
    row("i1", integral(lambda x, t: np.exp(x * np.cos(t)) * np.cos(t)), elementwise(-3, 3)),
    row(
        "i1e",
        integral(lambda x, t: np.exp(x * np.cos(t) - np.abs(x)) * np.cos(t)),
        elementwise(-3, 3, avoid=(0,)),
    ),
    row("bessel_j0", integral(lambda x, t: np.cos(x * np.sin(t))), elementwise(-9, 9)),
    row("bessel_j1", integral(lambda x, t: np.cos(t - x * np.sin(t))), elementwise(-9, 9)),
    row("modified_bessel_i0", integral(lambda x, t: np.exp(x * np.cos(t))), elementwise(-3, 3)),
    row("spherical_bessel_j0", lambda x: np.sin(x) / x, elementwise(-9, 9, avoid=(0,))),
    *(
        row(f"{prefix}chebyshev_polynomial_{kind}", _shifted(prefix, of_angle), _INSIDE, rtol=1e-8)
        for kind, of_angle in _BY_ANGLE.items()
        for prefix in ("", "shifted_")
    ),
    *(row(name, polynomial(value), _INSIDE) for name, value in _POLYNOMIALS.items()),
)
