"""Powers in double precision and powers of two: float_power, ldexp, frexp."""

from __future__ import annotations

from typing import Any

from disttorch import return_types
from disttorch.autograd.inplace import inplace_variant
from disttorch.autograd.op import Op, public
from disttorch.dtype import TYPE_NAMES, complex128, float64, scalar_dtype
from disttorch.dtype import dtype as Dtype
from disttorch.ops.arguments import refuse_numbers
from disttorch.ops.arithmetic import Operand, mul, pow
from disttorch.ops.cast import cast
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import accepts_out, write_out
from disttorch.tensor import Tensor

__all__ = ["float_power", "float_power_", "frexp", "ldexp"]

Array = Any


def _double(*operands: Operand) -> Dtype:
    """float64, or complex128 if an operand is complex."""
    dtypes = [x.dtype if isinstance(x, Tensor) else scalar_dtype(x) for x in operands]
    return complex128 if any(d.is_complex for d in dtypes) else float64


@public(method=True)
def float_power(input: Operand, exponent: Operand, *, out: Tensor | None = None) -> Tensor:
    """Return ``input ** exponent`` in double precision (complex128 for complex operands)."""
    refuse_numbers("float_power", ("input", "exponent", "self"), input, exponent)
    target = _double(input, exponent)
    base, power = (cast(x, target) if isinstance(x, Tensor) else x for x in (input, exponent))
    y = pow(base, power)
    return y if out is None else write_out(out, y, "float_power")


@public(method=True, function=False)
def float_power_(input: Tensor, exponent: Operand) -> Tensor:
    """In-place `float_power`; RuntimeError unless `input` has double precision."""
    target = _double(input, exponent)
    if input.dtype is not target:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {TYPE_NAMES[input.dtype]} but the "
            f"operation's result requires dtype {TYPE_NAMES[target]}"
        )
    return inplace_variant(float_power)(input, exponent)


@public(method=True, inplace=True)
def ldexp(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return ``input * 2 ** other``, broadcast; integers become the default floating dtype."""
    y = mul(input, pow(2.0, other))
    return y if out is None else write_out(out, y, "ldexp")


class Frexp(Op):
    """Mantissa in [0.5, 1) and exponent of two, int32."""

    non_differentiable_outputs = (1,)

    def forward(ctx, x: Array) -> tuple[Array, Array]:
        refuse_kinds(x, "c", "frexp_cpu")
        mantissa, exponent = ctx.xp.frexp(x)
        ctx.exponent = exponent
        return mantissa, exponent.astype("int32", copy=False)

    def backward(ctx, g: Any, _: Any = None) -> Any:
        scale = ctx.constant(ctx.xp.exp2(ctx.exponent.astype("float64")))
        return g / ctx.F.type_as(scale, g)


@public(method=True)
@accepts_out
def frexp(input: Tensor) -> Any:
    """Fields mantissa and exponent with ``input = mantissa * 2 ** exponent``.

    RuntimeError unless floating.
    """
    if input._array.dtype.kind not in "fcV":
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return return_types.frexp(Frexp.apply(input))
