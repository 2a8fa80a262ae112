"""Special functions that NumPy does not have, from its arithmetic alone; mixed into `Backend`.

A backend with a library of its own overrides them. Accuracy, checked against 40-digit values:
float64 within a few units in the last place, except near the zeros of `lgamma` and `digamma`, where
the error is absolute, about 1e-15; float32 within 4e-7; 16-bit types are computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial, log, pi, sqrt
from typing import Any

Array = Any

# erf(x) / x as a ratio of polynomials in x^2 for |x| <= 4, relative error 2.5e-8: a least-squares
# fit, reweighted until its error was even.
_ERF_TOP = (
    *(1.1283791393328502, 0.19354418209114438, 0.05310164196880827, 0.0038833116558017605),
    *(0.00028456604410208265, 1.986798925752291e-06),
)
_ERF_BOTTOM = (
    *(1.0, 0.5048566210850979, 0.11534964807188938, 0.015207183139709972),
    *(0.001185565093901271, 3.742035819748428e-05),
)
# exp(x^2) erfc(x) / t with t = 2 / (2 + x), as a Chebyshev series in 2 t - 1, computed with 60
# digits; what is left out is below 5e-17.
_ERFC = (
    *(0.57703373861646968862, 0.35543692127049848731, 0.06509515882878652455),
    *(0.0036711423958366391659, -0.0011128447433526324969, -0.00016075829915378079758),
    *(3.2780315741731370605e-5, 5.4424416455050160333e-6, -1.5154665553171481622e-6),
    *(-1.4297608181169864917e-7, 8.234608827419493433e-8, -1.2962846852306562536e-9),
    *(-4.1547216310151983042e-9, 6.3470582783628111814e-10, 1.4320822712256223707e-10),
    *(-6.1603901052045855418e-11, 2.0612138554721696306e-12, 3.571493148847704445e-12),
    *(-8.5864228432517964757e-13, -6.145600213790630554e-14, 7.4187257485966170573e-14),
    *(-1.2895042755032325614e-14, -2.3587263857106323586e-15, 1.5729349381685911334e-15),
    *(-2.2782966239546461217e-16, -6.3123304507564392971e-17),
)
_ERF_TAYLOR = tuple(2 / sqrt(pi) * (-1) ** n / (factorial(n) * (2 * n + 1)) for n in range(13))
# First guess of erfinv(x) / x, by w = -log(1 - x^2): M. Giles, "Approximating the erfinv function".
_ERFINV_CENTRE = (
    *(1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-06),
    *(-3.5233877e-06, 3.43273939e-07, 2.81022636e-08),
)
_ERFINV_TAIL = (
    *(2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844),
    *(0.00134934322, 0.000100950558, -0.000200214257),
)
# Bernoulli numbers B2, B4, ... for the asymptotic series of the gamma function's logarithm.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_MOST_BELOW_ZERO = 1000  # negative arguments of polygamma are shifted up by no more than this
_SHIFT = 10  # these series are good from here on; smaller arguments are shifted up


def _polynomial(z: Array, coefficients: Sequence[float]) -> Array:
    """Sum of c[n] z^n, lowest first."""
    total = z * coefficients[-1]
    for c in coefficients[-2:0:-1]:
        total += c
        total *= z
    total += coefficients[0]
    return total


def _erfcx_over_t(t: Array) -> Array:
    """Sum of the Chebyshev series `_ERFC` (Clenshaw's recurrence)."""
    y = 4 * t - 2
    before, last = t * 0, t * 0
    for c in _ERFC[:0:-1]:
        before, last = last, y * last - before + c
    return 0.5 * y * last - before + _ERFC[0]


class SpecialFunctions:
    """The error function, the logarithm of the gamma function and their relatives."""

    xp: Any
    fused_block: int | None

    def erf(self, x: Array) -> Array:
        """Error function of a floating array."""
        return self._by_precision(x, self._erf32, self._erf64)

    def erfc(self, x: Array) -> Array:
        """1 - erf(x), exact where that is small."""
        return self._by_precision(x, self._erfc64, self._erfc64)

    def sigmoid(self, x: Array) -> Array:
        """1 / (1 + exp(-x))."""
        if x.dtype.itemsize == 2:  # where exp(-x) overflows long before the result vanishes
            return self.sigmoid(x.astype("float32")).astype(x.dtype)
        y = self.xp.exp(-x)
        y += 1
        return 1 / y

    def gelu(self, x: Array) -> Array:
        """Return x times the normal distribution's probability of values below x."""
        y = self.erf(x * x.dtype.type(1 / sqrt(2)))
        y += 1
        y *= x
        y *= x.dtype.type(0.5)
        return y

    def gelu_slope(self, x: Array) -> Array:
        """Derivative of `gelu`."""
        below = 0.5 * self.erf(x * (1 / sqrt(2))) + 0.5
        return below + x * self.xp.exp(-0.5 * x * x) * (1 / sqrt(2 * pi))

    def erfinv(self, x: Array) -> Array:
        """Inverse of `erf` on [-1, 1]; NaN outside."""
        return self._by_precision(x, self._erfinv64, self._erfinv64)

    def lgamma(self, x: Array) -> Array:
        """Logarithm of the absolute value of the gamma function."""
        return self._by_precision(x, self._lgamma64, self._lgamma64)

    def polygamma(self, n: int, x: Array) -> Array:
        """Derivative n + 1 of `lgamma`; n = 0 is the digamma function."""

        def compute(z: Array) -> Array:
            if n == 1:
                return self._trigamma(z)
            return self._digamma64(z) if n == 0 else self._polygamma64(n, z)

        return self._by_precision(x, compute, compute)

    def erfcx(self, x: Array) -> Array:
        """exp(x^2) erfc(x): `erfc` without the part that vanishes."""
        return self._by_precision(x, self._erfcx64, self._erfcx64)

    def log_ndtr(self, x: Array) -> Array:
        """Logarithm of the normal distribution's probability of values below x."""
        return self._by_precision(x, self._log_ndtr64, self._log_ndtr64)

    def library_function(self, name: str, *arrays: Array) -> Array:
        """Compute a function by its name in `scipy.special`; 16-bit types in float32.

        The backend's `scientific_library` computes it.
        """
        narrow = next((a.dtype for a in arrays if a.dtype.itemsize == 2), None)
        if narrow is not None:
            wide = self.library_function(name, *(a.astype("float32") for a in arrays))
            return wide.astype(narrow)
        return self.scientific_library(name, *arrays)

    def scientific_library(self, name: str, *arrays: Array) -> Array:
        """Call a function of the library that this device has for `scipy.special`."""
        raise NotImplementedError(f"{name} is not implemented for this device")

    def _by_precision(
        self, x: Array, single: Callable[[Array], Array], double: Callable[[Array], Array]
    ) -> Array:
        """Compute in blocks that fit the cache, 16-bit types in float32."""
        if x.dtype.char == "d":
            return self._in_blocks(x, double)
        if x.dtype.char == "f":
            return self._in_blocks(x, single).astype(x.dtype, copy=False)
        return self._in_blocks(x.astype("float32"), single).astype(x.dtype)

    def _in_blocks(self, x: Array, function: Callable[[Array], Array]) -> Array:
        block = self.fused_block
        if block is None or x.size <= block:
            return function(x)
        y = self.xp.empty(x.shape, x.dtype)
        source, target = x.reshape(-1), y.reshape(-1)
        for start in range(0, x.size, block):
            target[start : start + block] = function(source[start : start + block])
        return y

    # ---- error functions --------------------------------------------------------------------

    def _erf32(self, x: Array) -> Array:
        xp = self.xp
        x = xp.minimum(xp.maximum(x, -4), 4)
        z = x * x
        y = x * _polynomial(z, _ERF_TOP) / _polynomial(z, _ERF_BOTTOM)
        return xp.minimum(xp.maximum(y, -1), 1)

    def _erf64(self, x: Array) -> Array:
        xp = self.xp
        size = xp.abs(x)
        z = xp.minimum(x * x, 0.25)
        near = x * _polynomial(z, _ERF_TAYLOR)
        return xp.where(size < 0.5, near, xp.copysign(1 - self._erfc_positive(size), x))

    def _erfc_positive(self, x: Array) -> Array:
        t = 2 / (2 + x)
        # exp(-x^2) loses digits of x^2 for large x: split it into a short square and the rest.
        short = self.xp.rint(x * 16) / 16
        short = self.xp.minimum(short, 100)
        rest = (x - short) * (x + short)
        return t * _erfcx_over_t(t) * self.xp.exp(-short * short) * self.xp.exp(-rest)

    def _erfc64(self, x: Array) -> Array:
        wide = x.astype("float64", copy=False)
        size = self.xp.abs(wide)
        tail = self._erfc_positive(self.xp.minimum(size, 40))
        y = self.xp.where(wide < 0, 2 - tail, tail)
        return self.xp.where(size < 0.5, 1 - self._erf64(wide), y)

    def _erfcx64(self, x: Array) -> Array:
        xp = self.xp
        wide = x.astype("float64", copy=False)
        t = 2 / (2 + xp.abs(wide))
        y = t * _erfcx_over_t(t)
        return xp.where(wide < 0, 2 * xp.exp(wide * wide) - y, y)

    def _log_ndtr64(self, x: Array) -> Array:
        xp = self.xp
        z = x.astype("float64", copy=False) * sqrt(0.5)
        lower = xp.minimum(z, 0)
        tail = xp.log(0.5 * self._erfcx64(-lower)) - lower * lower
        return xp.where(z < -sqrt(0.5), tail, xp.log1p(-0.5 * self._erfc64(z)))

    def _erfinv64(self, x: Array) -> Array:
        xp = self.xp
        wide = x.astype("float64", copy=False)
        size = xp.abs(wide)
        w = -xp.log((1 - size) * (1 + size))
        centre = _polynomial(xp.minimum(w, 5) - 2.5, _ERFINV_CENTRE)
        tail = _polynomial(xp.sqrt(xp.minimum(xp.maximum(w, 5), 16)) - 3, _ERFINV_TAIL)
        y = xp.where(w < 5, centre, tail) * size
        far = xp.sqrt(xp.maximum(w, 1))
        for _ in range(4):  # erfc(y) is nearly exp(-y^2) / (y sqrt(pi)) out there
            far = xp.sqrt(xp.maximum(log(2) + w - xp.log(far * sqrt(pi)), 1))
        y = xp.where(w > 16, far, y)
        for _ in range(2):  # Newton's method on the function that is small here
            small = size < 0.5
            error = xp.where(small, self._erf64(y) - size, (1 - size) - self._erfc_positive(y))
            step = error * (sqrt(pi) / 2) * xp.exp(y * y)
            y = y - step / (1 + y * step)
        y = xp.where(size == 1, xp.inf, y)
        return xp.copysign(xp.where(size > 1, xp.nan, y), wide)

    # ---- the gamma function -----------------------------------------------------------------

    def _lgamma64(self, x: Array) -> Array:
        xp = self.xp
        wide = x.astype("float64", copy=False)
        reflected = wide < 0.5
        z = xp.where(reflected, 1 - wide, wide)
        product, big = xp.ones_like(z), z
        for _ in range(_SHIFT):
            small = big < _SHIFT
            product = xp.where(small, product * big, product)
            big = xp.where(small, big + 1, big)
        series = self._stirling(big)
        y = (big - 0.5) * xp.log(big) - big + 0.5 * log(2 * pi) + series - xp.log(product)
        y = xp.where(big == xp.inf, xp.inf, y)
        sine = xp.abs(xp.sin(pi * (wide - xp.rint(wide))))
        y = xp.where(reflected, log(pi) - xp.log(sine) - y, y)
        return xp.where(xp.isinf(wide), xp.inf, y)

    def _stirling(self, x: Array) -> Array:
        """Sum of B2n / (2n (2n - 1) x^(2n - 1)) for large x."""
        terms = [b / ((2 * n) * (2 * n - 1)) for n, b in enumerate(_BERNOULLI, 1)]
        return _polynomial(1 / (x * x), terms) / x

    def _digamma64(self, x: Array) -> Array:
        xp = self.xp
        wide = x.astype("float64", copy=False)
        reflected = wide < 0.5
        z = xp.where(reflected, 1 - wide, wide)
        total, big = xp.zeros_like(z), z
        for _ in range(_SHIFT):
            small = big < _SHIFT
            total = xp.where(small, total + 1 / big, total)
            big = xp.where(small, big + 1, big)
        terms = [b / (2 * n) for n, b in enumerate(_BERNOULLI, 1)]
        inverse = 1 / (big * big)
        y = xp.log(big) - 0.5 / big - inverse * _polynomial(inverse, terms) - total
        tangent = xp.tan(pi * (wide - xp.rint(wide)))
        y = xp.where(reflected, y - pi / tangent, y)
        pole = (wide <= 0) & (wide == xp.rint(wide))
        return xp.where(pole, xp.where(wide == 0, xp.copysign(xp.inf, -wide), xp.nan), y)

    def _trigamma(self, x: Array) -> Array:
        # Reflected in the precision of x, so that poles are where PyTorch has them: pi is rounded.
        xp = self.xp
        reflected = x < 0.5
        y = self._polygamma64(1, xp.where(reflected, 1 - x, x))
        ratio = x.dtype.type(pi) / xp.sin(x.dtype.type(pi) * x)
        return xp.where(reflected, ratio * ratio - y, y)

    def _polygamma64(self, n: int, x: Array) -> Array:
        """(-1)^(n + 1) n! zeta(n + 1, x), by Euler and Maclaurin's formula after a shift."""
        wide = x.astype("float64", copy=False)
        s = n + 1
        total = 0 * wide
        lowest = float(self.xp.where(self.xp.isfinite(wide), wide, 0).min()) if wide.size else 0.0
        shift = _SHIFT + min(max(0, int(-lowest)), _MOST_BELOW_ZERO)
        for k in range(shift):
            total = total + 1 / (wide + k) ** s
        big = wide + shift
        total = total + 1 / ((s - 1) * big ** (s - 1)) + 0.5 / big**s
        rising = float(s)
        for j, b in enumerate(_BERNOULLI, 1):
            total = total + b / factorial(2 * j) * rising / big ** (s + 2 * j - 1)
            rising *= (s + 2 * j - 1) * (s + 2 * j)
        return total * ((-1) ** (n + 1) * factorial(n))
