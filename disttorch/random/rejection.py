"""Counts drawn by inversion and rejection, one number at a time: Poisson, binomial, gamma.

How many uniform numbers a result takes is not known beforehand, so nothing here is vectorised.
Each `fill_*` writes into `out` (any shape, any strides) with torch's own numbers and returns it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from disttorch.dtype import TYPE_NAMES, from_numpy_dtype
from disttorch.random.filling import Array, assign, memory_order, unit_float64, visit
from disttorch.random.generator import Generator, default_generator


class _Uniforms:
    """Numbers of [0, 1) one at a time, for rejection methods that need an unknown number.

    Draws blocks ahead; `close` sets the generator to just after the last number handed out.
    """

    def __init__(self, source: Generator) -> None:
        self._source, self._before = source, source.get_state()
        self._drawn, self._at = 0, 0
        self._block: list[float] = []
        self._next_normal = source.next_normal

    def next(self) -> float:
        """Return the next number."""
        if self._at == len(self._block):
            self._drawn += self._at
            self._block, self._at = unit_float64(256, self._source).tolist(), 0
        self._at += 1
        return self._block[self._at - 1]

    def next_normal(self) -> float:
        """Return a standard normal number; every second one is the other half of a pair."""
        if self._next_normal is not None:
            kept, self._next_normal = self._next_normal, None
            return kept
        theta = 2.0 * math.pi * self.next()
        radius = math.sqrt(-2.0 * math.log1p(-self.next()))
        self._next_normal = radius * math.sin(theta)
        return radius * math.cos(theta)

    def close(self) -> None:
        """Leave the generator where a generator asked number by number would stand."""
        self._source.set_state(self._before)
        self._source.skip(2 * (self._drawn + self._at))
        self._source.next_normal = self._next_normal


def _fill_each(
    out: Array,
    draw: Callable[..., float],
    parameters: tuple[Array, ...],
    generator: Generator | None,
) -> Array:
    """Fill `out` with ``draw(uniforms, *parameters)`` for each element, in memory order."""
    uniforms = _Uniforms(generator or default_generator)
    order = memory_order(out)
    columns = [
        np.broadcast_to(p, out.shape).transpose(order).reshape(-1).astype(np.float64).tolist()
        for p in parameters
    ]
    drawn = [draw(uniforms, *values) for values in zip(*columns, strict=True)]
    uniforms.close()
    return visit(out, lambda flat: assign(flat, np.array(drawn, np.float64)))


# ---- Poisson -------------------------------------------------------------------------------------


def fill_poisson(out: Array, rates: Array, generator: Generator | None = None) -> Array:
    """Fill `out` with Poisson counts of mean `rates` (same shape); RuntimeError if one is < 0."""
    if np.any(rates < 0):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    return _fill_each(out, _poisson, (rates,), generator)


def _poisson(uniforms: _Uniforms, rate: float) -> int:
    """One Poisson count: multiplication below a rate of 10, Hoermann's PTRS (1993) from there."""
    if rate < 10.0:
        if rate == 0.0:
            return 0
        limit, product, count = math.exp(-rate), uniforms.next(), 0
        while product > limit:
            product, count = product * uniforms.next(), count + 1
        return count
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    log_inv_alpha = math.log(1.1239 + 1.1328 / (b - 3.4))
    accept_below, log_rate = 0.9277 - 3.6224 / (b - 2.0), math.log(rate)
    while True:
        u, v = uniforms.next() - 0.5, uniforms.next()
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + rate + 0.43) if us else -1
        if us >= 0.07 and v <= accept_below:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        bound = -rate + k * log_rate - math.lgamma(k + 1.0)
        if v == 0.0 or math.log(v) + log_inv_alpha - math.log(a / (us * us) + b) <= bound:
            return k


# ---- binomial ------------------------------------------------------------------------------------


def _refuse_kind(out: Array, kernel: str) -> None:
    if out.dtype not in (np.float32, np.float64):
        name = TYPE_NAMES[from_numpy_dtype(out.dtype)]
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{name}'")


def fill_binomial(
    out: Array, counts: Array, probabilities: Array, generator: Generator | None = None
) -> Array:
    """Fill `out` with numbers of successes in `counts` trials of `probabilities`, broadcast.

    NotImplementedError unless `out` is float32 or float64.
    """
    _refuse_kind(out, "binomial_cpu")
    return _fill_each(out, _binomial, (counts, probabilities), generator)


def _binomial(uniforms: _Uniforms, count: float, p: float) -> float:
    """One number of successes: the rarer outcome is drawn."""
    if count <= 0.0 or p <= 0.0:
        return 0.0
    if p >= 1.0:
        return count
    if not p <= 1.0:
        return math.nan
    rarer = min(p, 1.0 - p)
    draw = _binomial_by_rejection if count * rarer >= 10.0 else _binomial_by_waiting
    drawn = draw(uniforms, count, rarer)
    return drawn if p <= 0.5 else count - drawn


def _binomial_by_waiting(uniforms: _Uniforms, count: float, p: float) -> float:
    """Add up waiting times for successes until they exceed the trials."""
    successes, waited, log_failure = 0, 0.0, math.log1p(-p)
    while True:
        u = uniforms.next()
        waited += math.ceil(math.log(u) / log_failure) if u else math.inf
        if waited > count:
            return float(successes)
        successes += 1


# ln(k!) minus Stirling's formula for k = 0 .. 9.
_STIRLING_TAIL = (
    *(0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509),
    *(0.0166446911898211, 0.0138761288230707, 0.0118967099458917, 0.0104112652619720),
    *(0.00925546218271273, 0.00833056343336287),
)


def _stirling_tail(k: float) -> float:
    if k <= 9:
        return _STIRLING_TAIL[int(k)]
    square = (k + 1) ** 2
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)


def _binomial_by_rejection(uniforms: _Uniforms, n: float, p: float) -> float:
    """Hoermann's BTRS (1993): transformed rejection with a squeeze."""
    deviation = math.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    accept_below, ratio = 0.92 - 4.2 / b, p / (1 - p)
    alpha, mode = (2.83 + 5.1 / b) * deviation, math.floor((n + 1) * p)
    while True:
        u, v = uniforms.next() - 0.5, uniforms.next()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + n * p + 0.5) if us else -1
        if k < 0 or k > n:
            continue
        if us >= 0.07 and v <= accept_below:
            return float(k)
        bound = (
            (mode + 0.5) * math.log((mode + 1) / (ratio * (n - mode + 1)))
            + (n + 1) * math.log((n - mode + 1) / (n - k + 1))
            + (k + 0.5) * math.log(ratio * (n - k + 1) / (k + 1))
            + (_stirling_tail(mode) + _stirling_tail(n - mode))
            - (_stirling_tail(k) + _stirling_tail(n - k))
        )
        if v == 0.0 or math.log(v * alpha / (a / (us * us) + b)) <= bound:
            return float(k)


# ---- gamma ---------------------------------------------------------------------------------------


def fill_gamma(out: Array, shapes: Array, generator: Generator | None = None) -> Array:
    """Fill `out` with gamma numbers of these shape parameters and scale 1; never below the
    smallest normal number. NotImplementedError unless `out` is float32 or float64.
    """
    _refuse_kind(out, "gamma_cpu")
    _fill_each(out, _gamma, (shapes,), generator)
    return np.maximum(out, np.finfo(out.dtype).tiny, out=out)


def _gamma(uniforms: _Uniforms, alpha: float) -> float:
    """One number, by Marsaglia and Tsang's method (2000)."""
    scale = 1.0
    if alpha < 1.0:
        if alpha == 0.0:
            return 0.0
        scale = math.pow(1 - uniforms.next(), 1.0 / alpha)
        alpha += 1.0
    d = alpha - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = uniforms.next_normal()
        while 1.0 + c * x <= 0:
            x = uniforms.next_normal()
        v, u, square = (1.0 + c * x) ** 3, 1 - uniforms.next(), x * x
        if u < 1.0 - 0.0331 * square * square:
            return scale * d * v
        if math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return scale * d * v
