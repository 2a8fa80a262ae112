"""Bessel functions and Airy's: computed by the device's scientific library, without gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.op import Op
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import write_out
from disttorch.tensor import Tensor

Array = Any

__all__ = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "spherical_bessel_j0",
]


class Bessel(Op):
    """A function of one number from the scientific library."""

    promotes = "float"
    differentiable = False

    def forward(ctx, x: Array, name: str, kernel: str) -> Array:
        refuse_kinds(x, "cV" if x.dtype.itemsize == 2 else "c", kernel)
        if x.dtype.itemsize == 2:
            refuse_kinds(x, "f", kernel)
        if name == "sinc":
            return _sin_over(x, ctx.xp)
        if name == "airy":  # the library returns Ai, Ai', Bi, Bi'
            return ctx.backend.library_function(name, x)[0]
        return ctx.backend.library_function(name, x)


def _sin_over(x: Array, xp: Any) -> Array:
    """sin(x) / x, 1 at 0 and 0 at infinity."""
    y = xp.sinc(x / xp.pi)
    return xp.where(xp.isinf(x), 0, y).astype(x.dtype, copy=False)


def _function(name: str, library_name: str, meaning: str) -> Callable[..., Tensor]:
    kernel = f"{name}_cpu"

    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        y: Tensor = Bessel.apply(input, name=library_name, kernel=kernel)
        return y if out is None else write_out(out, y, f"special_{name}")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{meaning[0].upper()}{meaning[1:]}, for each element; carries no gradient."
    return function


airy_ai = _function("airy_ai", "airy", "Airy function Ai")
bessel_j0 = _function("bessel_j0", "j0", "Bessel function of the first kind, order 0")
bessel_j1 = _function("bessel_j1", "j1", "Bessel function of the first kind, order 1")
bessel_y0 = _function("bessel_y0", "y0", "Bessel function of the second kind, order 0")
bessel_y1 = _function("bessel_y1", "y1", "Bessel function of the second kind, order 1")
modified_bessel_i0 = _function(
    "modified_bessel_i0", "i0", "modified Bessel function of the first kind, order 0"
)
modified_bessel_i1 = _function(
    "modified_bessel_i1", "i1", "modified Bessel function of the first kind, order 1"
)
modified_bessel_k0 = _function(
    "modified_bessel_k0", "k0", "modified Bessel function of the second kind, order 0"
)
modified_bessel_k1 = _function(
    "modified_bessel_k1", "k1", "modified Bessel function of the second kind, order 1"
)
scaled_modified_bessel_k0 = _function(
    "scaled_modified_bessel_k0", "k0e", "exp(x) times `modified_bessel_k0`"
)
scaled_modified_bessel_k1 = _function(
    "scaled_modified_bessel_k1", "k1e", "exp(x) times `modified_bessel_k1`"
)
spherical_bessel_j0 = _function(
    "spherical_bessel_j0", "sinc", "spherical Bessel function of the first kind, order 0"
)
