"""Functions of one float32 for Numba's kernels, written so that loops over them become vector code.

No branches and no calls: LLVM turns them into AVX or NEON instructions of whatever machine it is
on. Errors, over the whole range: below 2 units in the last place for exp, log and expm1, 3 for
log1p and tanh, 4e-7 for erf. NaN, infinities and denormal results are as in C.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

f4 = np.float32
i4 = np.int32

# A product may be added without rounding in between; nothing else is relaxed.
INLINE = {"fastmath": {"contract"}, "nogil": True, "forceinline": True}

_LOG2E = f4(1.44269504088896341)
_LN2_HIGH, _LN2_LOW = f4(0.693359375), f4(-2.12194440e-4)
# Adding this leaves a number below 2^22 rounded to an integer in the low bits.
_ROUND = f4(12582912.0)
_ROUND_BITS = i4(0x4B400000)
_SQRT_HALF = f4(0.70710678)
_SMALLEST = f4(1.17549435e-38)  # that is not denormal
_INF, _NAN = f4(np.inf), f4(np.nan)


@intrinsic
def _bits(typing, x):
    """The 32 bits of a float as an integer."""

    def build(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), build


@intrinsic
def _float(typing, x):
    """The float that has these 32 bits."""

    def build(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), build


@njit(**INLINE)
def _power_of_two(n):
    return _float((n + i4(127)) << i4(23))


@njit(**INLINE)
def _reduced(x):
    """Return n and exp(r) - 1, where x = n ln 2 + r."""
    k = x * _LOG2E + _ROUND
    n = k - _ROUND
    r = x - n * _LN2_HIGH
    r = r - n * _LN2_LOW
    p = f4(1.9875691500e-4) * r + f4(1.3981999507e-3)
    p = p * r + f4(8.3334519073e-3)
    p = p * r + f4(4.1665795894e-2)
    p = p * r + f4(1.6666665459e-1)
    p = p * r + f4(5.0000001201e-1)
    return _bits(k) - _ROUND_BITS, p * (r * r) + r


@njit(**INLINE)
def exp(x):
    """Exponential function."""
    x = f4(89.0) if x > f4(89.0) else x
    x = f4(-104.0) if x < f4(-104.0) else x
    n, e = _reduced(x)
    half = n >> i4(1)  # in two steps: 2^n itself may overflow or be denormal
    return (e + f4(1)) * _power_of_two(half) * _power_of_two(n - half)


@njit(**INLINE)
def expm1(x):
    """exp(x) - 1, exact near 0."""
    c = f4(88.0) if x > f4(88.0) else x
    c = f4(-20.0) if c < f4(-20.0) else c
    n, e = _reduced(c)
    scale = _power_of_two(n)
    y = scale * e + (scale - f4(1))
    return exp(x) if x > f4(88.0) else y


@njit(**INLINE)
def expm1_below(x):
    """exp(x) - 1 of what is not positive; half of `expm1`'s work."""
    c = f4(-20.0) if x < f4(-20.0) else x
    n, e = _reduced(f4(0) if c > f4(0) else c)
    scale = _power_of_two(n)
    return scale * e + (scale - f4(1))


@njit(**INLINE)
def exp_below(x):
    """exp(x) of what is not positive, 0 where that is denormal."""
    c = f4(-87.0) if x < f4(-87.0) else x
    n, e = _reduced(f4(0) if c > f4(0) else c)
    return (e + f4(1)) * _power_of_two(n)


@njit(**INLINE)
def log(x):
    """Natural logarithm."""
    denormal = x < _SMALLEST
    v = x * f4(8388608.0) if denormal else x
    bits = _bits(v)
    n = f4((bits >> i4(23)) - i4(126)) - (f4(23) if denormal else f4(0))
    m = _float((bits & i4(0x007FFFFF)) | i4(0x3F000000))
    low = m < _SQRT_HALF
    n = n - (f4(1) if low else f4(0))
    m = (m + m if low else m) - f4(1)
    z = m * m
    p = f4(7.0376836292e-2) * m + f4(-1.1514610310e-1)
    p = p * m + f4(1.1676998740e-1)
    p = p * m + f4(-1.2420140846e-1)
    p = p * m + f4(1.4249322787e-1)
    p = p * m + f4(-1.6668057665e-1)
    p = p * m + f4(2.0000714765e-1)
    p = p * m + f4(-2.4999993993e-1)
    p = p * m + f4(3.3333331174e-1)
    y = p * m * z + n * _LN2_LOW - f4(0.5) * z
    y = m + y + n * _LN2_HIGH
    y = x if not (x < _INF) else y
    y = -_INF if x == f4(0) else y
    return _NAN if x < f4(0) else y


@njit(**INLINE)
def log1p(x):
    """log(1 + x), exact near 0."""
    u = f4(1) + x
    y = log(u)
    corrected = y + (x - (u - f4(1))) / u
    return corrected if (u > f4(0)) and (u < _INF) else y


@njit(**INLINE)
def tanh(x):
    """Hyperbolic tangent."""
    z = x * x
    p = f4(-5.70498872745e-3) * z + f4(2.06390887954e-2)
    p = p * z + f4(-5.37397155531e-2)
    p = p * z + f4(1.33314422036e-1)
    p = p * z + f4(-3.33332819422e-1)
    near = p * z * x + x
    size = abs(x)
    far = f4(1) - f4(2) / (exp(size + size) + f4(1))
    far = -far if x < f4(0) else far
    return near if size < f4(0.625) else far


@njit(**INLINE)
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return f4(1) / (f4(1) + exp(-x))


@njit(**INLINE)
def erf(x):
    """A ratio of polynomials on [-4, 4]: the one of backends.special, fitted there."""
    x = f4(4) if x > f4(4) else x
    x = f4(-4) if x < f4(-4) else x
    z = x * x
    top = f4(1.986798925752291e-06) * z + f4(0.00028456604410208265)
    top = top * z + f4(0.0038833116558017605)
    top = top * z + f4(0.05310164196880827)
    top = top * z + f4(0.19354418209114438)
    top = top * z + f4(1.1283791373328502)
    bottom = f4(3.742035819748428e-05) * z + f4(0.001185565093901271)
    bottom = bottom * z + f4(0.015207183139709972)
    bottom = bottom * z + f4(0.11534964807188938)
    bottom = bottom * z + f4(0.5048566210850979)
    bottom = bottom * z + f4(1)
    y = x * top / bottom
    y = f4(1) if y > f4(1) else y
    return f4(-1) if y < f4(-1) else y


@njit(**INLINE)
def softplus(x):
    """log(1 + exp(x)) without overflow."""
    return (x if x > f4(0) else f4(0)) + log1p(exp(-abs(x)))


@njit(**INLINE)
def sqrt(x):
    """Square root."""
    return np.sqrt(x)
