"""Gamma-distributed numbers through which gradients flow to the concentration.

A draw x is a function of the concentration a and of what does not depend on it, its rank
F(x; a). Keeping the rank fixed gives ``dx/da = -(dF/da) / f(x; a)``.
"""

from __future__ import annotations

from typing import Any

import disttorch
from disttorch import random
from disttorch.autograd import Function
from disttorch.dtype import float64
from disttorch.tensor import Tensor

# Up to here the series is summed; beyond it the cube root of x is normal to four digits.
_SERIES_UP_TO = 80.0
_PRECISION = 1e-12


def _series(x: Tensor, a: Tensor) -> Tensor:
    """-(dF/da) / f for moderate concentrations, from F's power series in x; float64.

    The n-th term of F / (x f) is ``x**n / (a (a + 1) ... (a + n))``, and its derivative brings
    down log(x) - digamma(a + n + 1).
    """
    term = 1 / a
    weight = x.log() - (a + 1).digamma()
    total = term * weight
    n = 0
    while True:
        n += 1
        term = term * x / (a + n)
        weight = weight - 1 / (a + n)
        total = total + term * weight
        # Terms fall from n = x - a on, and faster and faster.
        if not (term * weight.abs() > _PRECISION * total.abs()).any():
            break
    return -x * total


def _cube_root(x: Tensor, a: Tensor) -> Tensor:
    """dx/da for large concentrations, where (x / a)**(1/3) is nearly normal."""
    small = 1 / (9 * a)
    root = (x / a) ** (1 / 3)
    z = (root - 1 + small) / small.sqrt()
    # x = a root**3 with root = 1 - small + z sqrt(small), and small falls as 1 / a.
    slope = (small - z * small.sqrt() / 2) / a
    return root**3 + 3 * a * root**2 * slope


def implicit_gradient(x: Tensor, a: Tensor) -> Tensor:
    """Return dx/da of gamma draws `x` (any shape) with concentrations `a` of that shape."""
    wide_x, wide_a = x.to(float64), a.to(float64)
    large = wide_a > _SERIES_UP_TO
    one = disttorch.ones_like(wide_x)
    series = _series(disttorch.where(large, one, wide_x), disttorch.where(large, one, wide_a))
    if large.any():
        series = disttorch.where(large, _cube_root(wide_x, wide_a), series)
    return disttorch.where(wide_x > 0, series, 0.0).to(x.dtype)


class _StandardGamma(Function):
    """Concentrations -> draws of the same shape."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        a = concentration.detach()
        backend = a.backend
        out = backend.xp.empty(a._array.shape, a._array.dtype)
        host = backend.to_host(a._array)
        backend.sample(out, lambda array: random.fill_gamma(array, host))
        x = Tensor._wrap(out)
        ctx.save_for_backward(x, a)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * implicit_gradient(*ctx.saved_tensors)


def standard_gamma(concentration: Tensor) -> Tensor:
    """Draw from gamma distributions with rate 1; gradients flow to the concentrations."""
    return _StandardGamma.apply(concentration)
