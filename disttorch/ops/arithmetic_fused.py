"""Sums of a tensor and a product or quotient: addcmul, addcdiv, lerp."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import PointwiseOp, public
from disttorch.ops.older_order import number_first
from disttorch.ops.out import write_out
from disttorch.tensor import Tensor

__all__ = ["addcdiv", "addcmul", "lerp"]

Array = Any


def _wide(x: Array, a: Array, b: Array) -> tuple[Array, Array, Array, Any]:
    """The operands, 16-bit floats in float32, and the dtype to return to (None: as it is)."""
    if x.dtype.itemsize != 2 or x.dtype.kind not in "fV":
        return x, a, b, None
    return *(t.astype("float32") for t in (x, a, b)), x.dtype


class Addcmul(PointwiseOp):
    """x + value * a * b, broadcast."""

    promotes = "same"

    def forward(ctx, x: Array, a: Array, b: Array, value: float) -> Array:
        ctx.save(1, 2)
        ctx.value = value
        x, a, b, kept = _wide(x, a, b)
        product = a * b
        y = x + (product if value == 1 else (product * value).astype(x.dtype, copy=False))
        return y if kept is None else y.astype(kept)

    def backward(ctx, g: Any) -> Any:
        a, b = ctx.saved
        scaled, conj = g * ctx.value, ctx.F.conj
        return (
            g,
            scaled * conj(b) if ctx.needs_grad(1) else None,
            scaled * conj(a) if ctx.needs_grad(2) else None,
        )


@public(method=True, inplace=True)
def addcmul(
    input: Tensor,
    tensor1: Any,
    tensor2: Tensor,
    after: Tensor | None = None,
    *,
    value: float = 1,
    out: Tensor | None = None,
) -> Tensor:
    """Return ``input + value * tensor1 * tensor2``, broadcast.

    `after`: the second factor where `tensor1` is the value, as before PyTorch 1.5.
    """
    if after is not None:
        value, (tensor1, tensor2) = number_first("addcmul", "value", tensor1, (tensor2, after))
    y = Addcmul.apply(input, tensor1, tensor2, value=value)
    return y if out is None else write_out(out, y, "addcmul")


class Addcdiv(PointwiseOp):
    """x + value * a / b, broadcast."""

    promotes = "same"

    def forward(ctx, x: Array, a: Array, b: Array, value: float) -> Array:
        ctx.save(1, 2)
        ctx.value = value
        x, a, b, kept = _wide(x, a, b)
        quotient = a / b
        y = x + (quotient if value == 1 else (quotient * value).astype(x.dtype, copy=False))
        return y if kept is None else y.astype(kept)

    def backward(ctx, g: Any) -> Any:
        a, b = ctx.saved
        conj = ctx.F.conj
        ga = g * ctx.value / conj(b)
        return g, ga, -ga * conj(a / b) if ctx.needs_grad(2) else None


@public(method=True, inplace=True)
def addcdiv(
    input: Tensor,
    tensor1: Any,
    tensor2: Tensor,
    after: Tensor | None = None,
    *,
    value: float = 1,
    out: Tensor | None = None,
) -> Tensor:
    """Return ``input + value * tensor1 / tensor2``, broadcast; RuntimeError for integers.

    `after`: the divisor where `tensor1` is the value, as before PyTorch 1.5.
    """
    if after is not None:
        value, (tensor1, tensor2) = number_first("addcdiv", "value", tensor1, (tensor2, after))
    if all(t._array.dtype.kind in "iub" for t in (tensor1, tensor2)):
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release "
            "addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv "
            "behavior can be implemented as (input + value * torch.trunc(tensor1 / "
            "tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / "
            "tensor2) for float inputs. The future addcdiv behavior is just the latter "
            "implementation: (input + value * tensor1 / tensor2), for all dtypes."
        )
    y = Addcdiv.apply(input, tensor1, tensor2, value=value)
    return y if out is None else write_out(out, y, "addcdiv")


class Lerp(PointwiseOp):
    """x + w * (y - x), broadcast."""

    promotes = "same"
    saved_for = ((2,), (2,), (0, 1))

    def forward(ctx, x: Array, y: Array, w: Array) -> Array:
        ctx.save(0, 1, 2)
        return x + w * (y - x)

    def backward(ctx, g: Any) -> Any:
        x, y, w = ctx.saved
        conj = ctx.F.conj
        gw = g * conj(y - x) if ctx.needs_grad(2) else None
        if w is None:
            return None, None, gw
        gy = g * conj(w)
        return g - gy, gy, gw


class LerpTensor(Lerp, overload="LerpBackward1"):
    """By weights in a tensor."""


@public(method=True, inplace=True)
def lerp(
    input: Tensor, end: Tensor, weight: Tensor | float, *, out: Tensor | None = None
) -> Tensor:
    """Interpolate: ``input + weight * (end - input)``, broadcast; one floating dtype for all.

    Raises RuntimeError for tensors of different dtypes.
    """
    for other in (end, weight):
        if isinstance(other, Tensor) and other.dtype is not input.dtype:
            name = "end" if other is end else "weight"
            raise RuntimeError(
                f"expected dtype {_scalar_name(input)} for `{name}` but got dtype "
                f"{_scalar_name(other)}"
            )
    y = (LerpTensor if isinstance(weight, Tensor) else Lerp).apply(input, end, weight)
    return y if out is None else write_out(out, y, "lerp")


def _scalar_name(tensor: Tensor) -> str:
    return {"float32": "float", "float64": "double"}.get(tensor.dtype.name, tensor.dtype.name)
