"""Orthogonal polynomials, by their recurrences: Chebyshev, Hermite, Laguerre and Legendre.

Each is ``p[k + 1] = (a(k) x + b(k)) p[k] - c(k) p[k - 1]``, from ``p[0] = 1`` and a given ``p[1]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from disttorch.autograd.op import Op
from disttorch.ops.arguments import refuse_numbers
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import write_out
from disttorch.tensor import Tensor

Array = Any


@dataclass(frozen=True)
class Recurrence:
    """A family of polynomials in ``scale * x + shift``.

    `first` is p[1]; `step` gives p[k + 1] from k, x, p[k] and p[k - 1].
    """

    name: str
    first: Callable[[Array], Array]
    step: Callable[[int, Array, Array, Array], Array]
    shifted: bool = False


def _chebyshev(k: int, x: Array, p: Array, before: Array) -> Array:
    return 2 * x * p - before


_FIRST = {
    "t": lambda x: x,
    "u": lambda x: 2 * x,
    "v": lambda x: 2 * x - 1,
    "w": lambda x: 2 * x + 1,
}

FAMILIES = {
    **{
        f"chebyshev_polynomial_{kind}": Recurrence(f"of Chebyshev, kind {kind}", first, _chebyshev)
        for kind, first in _FIRST.items()
    },
    **{
        f"shifted_chebyshev_polynomial_{kind}": Recurrence(
            f"of Chebyshev, kind {kind}, in 2 x - 1", first, _chebyshev, shifted=True
        )
        for kind, first in _FIRST.items()
    },
    "hermite_polynomial_h": Recurrence(
        "of Hermite, as physicists define them",
        lambda x: 2 * x,
        lambda k, x, p, before: 2 * x * p - 2 * k * before,
    ),
    "hermite_polynomial_he": Recurrence(
        "of Hermite, as statisticians define them",
        lambda x: x,
        lambda k, x, p, before: x * p - k * before,
    ),
    "laguerre_polynomial_l": Recurrence(
        "of Laguerre",
        lambda x: 1 - x,
        lambda k, x, p, before: ((2 * k + 1 - x) * p - k * before) / (k + 1),
    ),
    "legendre_polynomial_p": Recurrence(
        "of Legendre",
        lambda x: x,
        lambda k, x, p, before: ((2 * k + 1) * x * p - k * before) / (k + 1),
    ),
}

__all__ = [
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
]


class Polynomial(Op):
    """The n-th polynomial of a family at x, broadcast; 0 for negative n."""

    promotes = "float"
    differentiable = False

    def forward(ctx, x: Array, n: Array, name: str) -> Array:
        xp, family = ctx.xp, FAMILIES[name]
        kind = next(a.dtype for a in (x, n) if isinstance(a, ctx.backend.array_type))
        x, n = (ctx.backend.asarray(a, kind) for a in (x, n))
        refuse_kinds(x, "cV", f"{name}_cpu")
        order = xp.trunc(n).astype("int64")
        shape = xp.broadcast_to(x, (x + order).shape).shape
        z = 2 * x - 1 if family.shifted else x
        before = xp.ones(shape, x.dtype)
        current = xp.broadcast_to(family.first(z), shape).astype(x.dtype)
        y = xp.where(order == 0, before, xp.where(order == 1, current, x.dtype.type(0)))
        for k in range(1, int(order.max()) if order.size else 0):
            before, current = current, family.step(k, z, current, before)
            y = xp.where(order == k + 1, current, y)
        return y.astype(x.dtype, copy=False)


def _function(name: str) -> Callable[..., Tensor]:
    def function(input: Tensor | float, n: Tensor | float, *, out: Tensor | None = None) -> Tensor:
        refuse_numbers(f"special_{name}", ("x", "n", "x"), input, n)
        y: Tensor = Polynomial.apply(input, n, name=name)
        return y if out is None else write_out(out, y, f"special_{name}")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"Polynomial {FAMILIES[name].name}, of degree `n` (a number or a tensor, broadcast) at "
        "each element; carries no gradient."
    )
    return function


chebyshev_polynomial_t = _function("chebyshev_polynomial_t")
chebyshev_polynomial_u = _function("chebyshev_polynomial_u")
chebyshev_polynomial_v = _function("chebyshev_polynomial_v")
chebyshev_polynomial_w = _function("chebyshev_polynomial_w")
shifted_chebyshev_polynomial_t = _function("shifted_chebyshev_polynomial_t")
shifted_chebyshev_polynomial_u = _function("shifted_chebyshev_polynomial_u")
shifted_chebyshev_polynomial_v = _function("shifted_chebyshev_polynomial_v")
shifted_chebyshev_polynomial_w = _function("shifted_chebyshev_polynomial_w")
hermite_polynomial_h = _function("hermite_polynomial_h")
hermite_polynomial_he = _function("hermite_polynomial_he")
laguerre_polynomial_l = _function("laguerre_polynomial_l")
legendre_polynomial_p = _function("legendre_polynomial_p")
