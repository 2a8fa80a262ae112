"""Leaky ReLU with random slopes."""

from __future__ import annotations

from typing import Any

from disttorch import random
from disttorch.autograd.inplace import inplace_variant
from disttorch.autograd.op import Op, public
from disttorch.ops.activation import leaky_relu
from disttorch.ops.kinds import refuse_kinds
from disttorch.tensor import Tensor

__all__ = ["rrelu", "rrelu_"]

Array = Any
Generator = random.Generator | None


class RreluWithNoise(Op):
    """x times a slope for each element: 1 where x is positive, else drawn from [lower, upper)."""

    def forward(ctx, x: Array, lower: float, upper: float, generator: Generator) -> Array:
        refuse_kinds(x, "biucf" if x.dtype.itemsize == 2 else "biuc", "rrelu_with_noise_out_cpu")
        xp, low = ctx.xp, x <= 0
        # One double for each negative element, whatever the dtype, as PyTorch draws them.
        drawn = xp.empty(int(low.sum()), "float64")
        ctx.backend.sample(drawn, lambda a: random.fill_uniform(a, lower, upper, generator))
        ctx.slopes = xp.ones(x.shape, x.dtype)
        ctx.slopes[low] = drawn.astype("float32").astype(x.dtype) if x.dtype.kind == "V" else drawn
        return x * ctx.slopes

    def backward(ctx, g: Any) -> Any:
        return g * ctx.constant(ctx.slopes)


@public()
def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Generator = None,
) -> Tensor:
    """Leaky ReLU with a slope drawn for each negative element from [lower, upper) if `training`.

    Otherwise with the mean slope. RuntimeError for bounds out of order.
    """
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    return RreluWithNoise.apply(input, lower=lower, upper=upper, generator=generator)


@public()
def rrelu_(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Generator = None,
) -> Tensor:
    """In-place version of `rrelu`."""
    return inplace_variant(rrelu)(input, lower, upper, training, generator)
