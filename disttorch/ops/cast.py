"""Changing dtype, device or memory order; copying."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from disttorch import dtype as dtypes
from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.inplace import check_writable, overwrite, refuse_overlap
from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import fits_inplace, quick
from disttorch.backends import Backend, backend_for
from disttorch.device import device as Device
from disttorch.dtype import as_dtype, from_numpy_dtype
from disttorch.dtype import dtype as Dtype
from disttorch.layout import contiguous_format, memory_order, preserve_format
from disttorch.layout import memory_format as MemoryFormat
from disttorch.ops.cast_complex import Real
from disttorch.tensor import Tensor

__all__ = [
    *("bfloat16", "bool", "byte", "cdouble", "cfloat", "char", "clone", "contiguous", "copy_"),
    *("cpu", "cuda", "double", "float", "half", "int", "is_pinned", "long", "pin_memory", "short"),
    *("to", "type_as"),
]

Array = Any


@quick(1, "fciub", settings=True)
class Cast(Op):
    """x in another dtype, in the same memory order."""

    torch_name = "ToCopyBackward0"

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the cast of an array."""
        return lambda x, np_dtype: x.astype(np_dtype)

    def forward(ctx, x: Array, np_dtype: Any) -> Array:
        return x.astype(np_dtype)

    def backward(ctx, g: Any) -> Any:
        return g  # the engine casts it back to the input's dtype


def cast(input: Tensor, dtype: Dtype) -> Tensor:
    """Return `input` in `dtype`: itself if it has it, else a copy; complex to real warns."""
    dtype, kind = as_dtype(dtype), input._array.dtype
    if kind == dtype.np:
        return input
    if kind.kind == "c" and not (dtype.is_complex or dtype is dtypes.bool):
        warnings.warn(
            "Casting complex values to real discards the imaginary part", UserWarning, stacklevel=3
        )
        input = Real.apply(input)
    return Cast.apply(input, np_dtype=dtype.np)


def cast_array_dtype(input: Tensor, np_dtype: Any) -> Tensor:
    """Cast to an array dtype; complex to real drops the imaginary part silently."""
    if input.is_complex() and np_dtype.kind != "c":
        input = Real.apply(input)
    return cast(input, from_numpy_dtype(np_dtype))


def dense_copy_order(array: Array) -> tuple[int, ...]:
    """Order of the dimensions, outermost first, that a dense copy of a strided array keeps."""
    strides = array.strides
    if any(s == 0 and n > 1 for s, n in zip(strides, array.shape, strict=True)):
        return tuple(range(array.ndim))  # an expanded tensor: its order in memory means nothing
    return tuple(sorted(range(array.ndim), key=lambda d: -strides[d]))


class Clone(Op):
    """A dense copy of x with the memory order `order` (None: that of x)."""

    def forward(ctx, x: Array, order: tuple[int, ...] | None = None) -> Array:
        if order is None:
            if x.flags.c_contiguous:
                return x.copy()
            order = dense_copy_order(x)
        inverse = sorted(range(x.ndim), key=order.__getitem__)
        return x.transpose(order).copy(order="C").transpose(inverse)

    def backward(ctx, g: Any) -> Any:
        return g


@quick(1)
class SameOrderClone(Clone):
    """A dense copy of x with the memory order of x."""

    torch_name = "CloneBackward0"

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the copy."""
        return cls(backend).forward

    def forward(ctx, x: Array) -> Array:
        return super().forward(x)


@public(method=True)
def clone(input: Tensor, *, memory_format: MemoryFormat | None = None) -> Tensor:
    """Return a copy that gradients flow through."""
    if memory_format is None or memory_format is preserve_format:
        return SameOrderClone.apply(input)
    return Clone.apply(input, order=memory_order(memory_format, input.ndim))


@public(method=True, function=False)
def contiguous(input: Tensor, memory_format: MemoryFormat = contiguous_format) -> Tensor:
    """Return the tensor in row-major order (or `memory_format`): itself if it is, else a copy."""
    if input.is_contiguous(memory_format):
        return input
    return Clone.apply(input, order=memory_order(memory_format, input.ndim))


# ---- to ----------------------------------------------------------------------------------------


class ToDevice(Op):
    """x on another device; recorded by `_on_device`, because its output has another backend."""

    torch_name = "ToCopyBackward0"
    source: Device

    def backward(ctx, g: Any) -> Any:
        if ctx.F.recorded:
            return _on_device(g, ctx.source)
        return backend_for(ctx.source).asarray(ctx.backend.to_host(g))


def _on_device(input: Tensor, target: Device) -> Tensor:
    """Copy to another device."""
    backend = backend_for(target)
    out = Tensor._wrap(backend.asarray(input.backend.to_host(input._array)))
    if input.requires_grad and STATE.enabled:
        node = ToDevice(backend)
        node.source = input.device
        node._record((input,), [input._array], (out,))
    return out


Destination = tuple[Device | None, Dtype | None, Any]


def parse_to(
    args: Sequence[Any],
    dtype: Dtype | None = None,
    device: Any = None,
    memory_format: MemoryFormat | None = None,
) -> Destination:
    """Read the arguments of `Tensor.to` and `Module.to`: device, dtype and memory format.

    Positional arguments may be a dtype, a device with or without a dtype, or another tensor;
    `non_blocking` and `copy` after them are ignored here. Raises TypeError for anything else.
    """
    for value in args:
        if isinstance(value, Dtype):
            dtype = value
        elif isinstance(value, Tensor):
            dtype, device = value.dtype, value.device
        elif isinstance(value, (str, Device)) or type(value) is _int:
            device = value
        elif isinstance(value, type):
            dtype = as_dtype(value)
        elif value is not None and not isinstance(value, _bool):
            raise TypeError(
                "to() received an invalid combination of arguments - got "
                f"({type(value).__name__}), but expected a dtype, a device or a Tensor"
            )
    return None if device is None else Device(device), dtype, memory_format


@public(method=True, function=False)
def to(
    input: Tensor,
    *args: Any,
    dtype: Dtype | None = None,
    device: Any = None,
    non_blocking: Any = False,
    copy: Any = False,
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    """Return the tensor with another dtype, device or memory format: itself if nothing changes.

    ``to(dtype)``, ``to(device, dtype)`` or ``to(other)``, each with `non_blocking` and `copy`.
    Raises RuntimeError for a device that is not there.
    """
    flags = [a for a in args if isinstance(a, _bool)]
    target, kind, _ = parse_to(args, dtype, device)
    out = input
    if target is not None and target != input.device:
        # "cuda" without an index is whatever CUDA device the tensor is on already.
        if target.type != input.device.type or target.index is not None:
            out = _on_device(input, target)
    if kind is not None:
        out = cast(out, kind)
    if memory_format is not None and memory_format is not preserve_format:
        out = contiguous(out, memory_format)
    if out is input and (copy or flags[1:] == [True]):
        return clone(input)
    return out


@public(method=True, function=False)
def cpu(input: Tensor, memory_format: MemoryFormat = preserve_format) -> Tensor:
    """Return the tensor in host memory: itself if it is there."""
    return to(input, "cpu")


@public(method=True, function=False)
def cuda(
    input: Tensor,
    device: Any = None,
    non_blocking: Any = False,
    memory_format: MemoryFormat = preserve_format,
) -> Tensor:
    """Return the tensor on a CUDA device; RuntimeError if there is none."""
    return to(input, Device("cuda" if device is None else device))


@public(method=True, function=False)
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """Return the tensor in the dtype of `other`."""
    if not isinstance(other, Tensor):
        raise TypeError(
            f"type_as(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}"
        )
    return cast(input, other.dtype)


@public(method=True, function=False)
def pin_memory(input: Tensor) -> Tensor:
    """Return the tensor in page-locked memory; on a machine without CUDA that is itself."""
    return input


@public(method=True, function=False)
def is_pinned(input: Tensor) -> Any:
    """Whether the tensor is in page-locked memory."""
    return False


def _converter(name: str, dtype: Dtype) -> Callable[..., Tensor]:
    def convert(input: Tensor, memory_format: MemoryFormat = preserve_format) -> Tensor:
        return cast(input, dtype)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"Return the tensor in {dtype}: itself if it is."
    return public(method=True, function=False)(convert)


# Tensor's methods share their names with Python's types, which `parse_to` needs under others.
_int, _float, _bool = int, float, bool

float = _converter("float", dtypes.float32)
double = _converter("double", dtypes.float64)
half = _converter("half", dtypes.float16)
bfloat16 = _converter("bfloat16", dtypes.bfloat16)
int = _converter("int", dtypes.int32)
long = _converter("long", dtypes.int64)
short = _converter("short", dtypes.int16)
char = _converter("char", dtypes.int8)
byte = _converter("byte", dtypes.uint8)
bool = _converter("bool", dtypes.bool)
cfloat = _converter("cfloat", dtypes.complex64)
cdouble = _converter("cdouble", dtypes.complex128)


# ---- copy_ -------------------------------------------------------------------------------------


class Copy(Op):
    """What x becomes when y is written over it: y, broadcast and cast."""

    torch_name = "torch::autograd::CopyBackwards"

    def forward(ctx, x: Array, y: Array) -> Array:
        x[...] = y if y.dtype.kind != "c" or x.dtype.kind in "cb" else y.real
        return x

    def backward(ctx, g: Any) -> Any:
        return ctx.F.zeros_like(g) if ctx.needs_grad(0) else None, g


def broadcasts_to(shape: Sequence[Any], target: Sequence[Any]) -> Any:
    """Whether an array of `shape` can be broadcast to `target`."""
    lead = len(target) - len(shape)
    return lead >= 0 and all(n in (1, m) for n, m in zip(shape, target[lead:], strict=True))


def _check_copy_shape(input: Tensor, src: Tensor) -> None:
    target, shape = input._array.shape, src._array.shape
    if broadcasts_to(shape, target):
        return
    ndim = max(len(target), len(shape))
    for back in range(1, min(len(target), len(shape)) + 1):
        a, b = target[-back], shape[-back]
        if b not in (1, a):
            raise RuntimeError(
                f"The size of tensor a ({a}) must match the size of tensor b ({b}) at "
                f"non-singleton dimension {ndim - back}"
            )
    raise RuntimeError(
        f"output with shape {list(target)} doesn't match the broadcast shape {list(shape)}"
    )


@public(method=True, function=False)
def copy_(input: Tensor, src: Any, non_blocking: Any = False) -> Tensor:
    """Write `src` over the tensor: broadcast, cast, from any device; gradients flow to `src`."""
    if input._view is None and type(input._cell) is list and fits_inplace(input, src):
        array = input._array
        if array.flags.c_contiguous:
            array[...] = src._array
            input._cell[0] += 1
            return input
    if not isinstance(src, Tensor):
        src = Tensor._wrap(input.backend.asarray(src))
    if src.device != input.device:
        src = _on_device(src, input.device)
    check_writable(input)
    if src._cell is input._cell and src is not input:
        refuse_overlap(input._array, src._array)
    _check_copy_shape(input, src)
    return overwrite(input, Copy.apply(input, src))
