"""Operations on the bits of integers, and on bools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import ALL_KINDS, quick
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import write_out
from disttorch.tensor import Tensor

__all__ = [
    *("bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift"),
    "bitwise_xor",
]

Array = Any
Operand = Tensor | int


class Bitwise(Op):
    """A bitwise operation on x and y, broadcast."""

    promotes = "same"
    differentiable = False
    kernel: ClassVar[str]  # PyTorch's, as its errors name it
    refused: ClassVar[str]  # dtype kinds

    def forward(ctx, x: Array, y: Array) -> Array:
        refuse_kinds(x if isinstance(x, ctx.backend.array_type) else y, ctx.refused, ctx.kernel)
        return getattr(ctx.xp, ctx.ufunc)(x, y)


BITWISE: dict[str, type[Op]] = {}


def _bitwise(
    name: str, ufunc: str, kernel: str, meaning: str, refused: str = "fcV"
) -> Callable[..., Tensor]:
    """A public bitwise operator, not defined for dtypes of the `refused` kinds."""
    op = type(name.title(), (Bitwise,), {"ufunc": ufunc, "kernel": kernel, "refused": refused})
    BITWISE[name] = quick(2, "".join(k for k in ALL_KINDS if k not in refused))(op)
    apply = op.apply

    def function(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
        y: Tensor = apply(input, other)
        return y if out is None else write_out(out, y, name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{meaning}, broadcast; NotImplementedError for other dtypes than integers and bools."
    )
    return public(method=True, inplace=True)(function)


bitwise_and = _bitwise("bitwise_and", "bitwise_and", "bitwise_and_cpu", "input & other")
bitwise_or = _bitwise("bitwise_or", "bitwise_or", "bitwise_or_cpu", "input | other")
bitwise_xor = _bitwise("bitwise_xor", "bitwise_xor", "bitwise_xor_cpu", "input ^ other")
bitwise_left_shift = _bitwise(
    "bitwise_left_shift", "left_shift", "lshift_cpu", "input << other", "bfcV"
)
bitwise_right_shift = _bitwise(
    "bitwise_right_shift", "right_shift", "rshift_cpu", "input >> other", "bfcV"
)


@quick(1, "biu")
class BitwiseNot(Op):
    """~x."""

    differentiable = False
    ufunc = "invert"

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "fcV", "bitwise_not_cpu")
        return ctx.xp.invert(x)


@public(method=True, inplace=True)
def bitwise_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Flip every bit of integers, or negate bools; NotImplementedError for other dtypes."""
    y: Tensor = BitwiseNot.apply(input)
    return y if out is None else write_out(out, y, "bitwise_not")


def invert(input: Tensor) -> Tensor:
    """``~input``; TypeError, with PyTorch's text for the operator, for other dtypes."""
    if input._array.dtype.kind not in "biu":
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return bitwise_not(input)
