"""Making tensors from data: numbers, nested lists, arrays, other tensors."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import reduce
from typing import Any

from disttorch.autograd.op import public
from disttorch.backends import backend_for
from disttorch.backends.cpu.numpy_backend import CPU
from disttorch.device import chosen_device
from disttorch.device import device as Device
from disttorch.dtype import (
    as_dtype,
    complex64,
    from_numpy_dtype,
    get_default_dtype,
    iinfo,
    int64,
    promote_types,
)
from disttorch.dtype import bool as bool_
from disttorch.dtype import dtype as Dtype
from disttorch.ops.cast import cast, to
from disttorch.tensor import Tensor

__all__ = ["as_tensor", "asarray", "from_numpy", "new_tensor", "scalar_tensor", "tensor"]

Array = Any

_NUMBERS = {bool, int, float, complex}
_SCALARS = (int, float, complex)
_PLAIN_SEQUENCES = {list, tuple}
_PLAIN = _NUMBERS | _PLAIN_SEQUENCES


def require_grad(out: Tensor, requires_grad: bool) -> Tensor:
    """Set `requires_grad` on a new tensor; RuntimeError unless its dtype is floating or complex."""
    if requires_grad:
        if not (out.is_floating_point() or out.is_complex()):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        out._requires_grad = True
    return out


def _number_dtype(kind: type) -> Dtype:
    """Dtype that Python numbers of a type become in a tensor of their own."""
    default = get_default_dtype()
    if kind is float:
        return default
    if kind is complex:
        return default.to_complex() if default.is_floating_point else complex64
    return {bool: bool_, int: int64}.get(kind, default)


def _is_nested(data: Any) -> bool:
    if type(data) in _PLAIN_SEQUENCES:
        return True
    return isinstance(data, Sequence) and not isinstance(data, (str, bytes))


def _is_array(data: Any) -> bool:
    return hasattr(data, "__array_interface__") or (hasattr(data, "__array__"))


def infer_dtype(data: Any, depth: int = 0) -> Dtype:
    """Dtype of a tensor made of `data`, by PyTorch's rules: Python floats are the default dtype.

    Raises TypeError, ValueError or RuntimeError, as PyTorch, for what no tensor can hold.
    """
    if type(data) in _NUMBERS:
        return _number_dtype(type(data))
    if _is_nested(data):
        kinds = set(map(type, data))
        if len(kinds) == 1 and kinds <= _NUMBERS:
            return _number_dtype(kinds.pop())
        if kinds <= _NUMBERS:
            found = [_number_dtype(kind) for kind in kinds]
        else:
            found = [infer_dtype(item, depth + 1) for item in data]
        return reduce(promote_types, found) if found else get_default_dtype()
    if isinstance(data, Tensor):
        return data.dtype
    if hasattr(data, "dtype") and _is_array(data):
        return from_numpy_dtype(data.dtype)
    if _is_array(data):
        return from_numpy_dtype(CPU.asarray(data).dtype)
    for kind in (bool, int, float, complex):
        if isinstance(data, kind):
            return _number_dtype(kind)
    if isinstance(data, (str, bytes)):
        if depth:
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")


def _numbers_only(data: Any) -> Any:
    """Replace the tensors in nested sequences by numbers."""
    if isinstance(data, Tensor):
        if data.numel() != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return data.item()
    if _is_nested(data) and not set(map(type, data)) <= _NUMBERS:
        return [_numbers_only(item) for item in data]
    return list(data) if isinstance(data, range) else data


def _check_rectangular(data: Any, sizes: Sequence[int] | None = None, dim: int = 0) -> None:
    """Raise PyTorch's error for a ragged nested list."""
    if sizes is None:
        found, level = [], data
        while _is_nested(level):
            found.append(len(level))
            level = level[0] if level else None
        sizes = found
    if dim == len(sizes):
        return
    if not _is_nested(data):
        raise TypeError("not a sequence")
    if len(data) != sizes[dim]:
        raise ValueError(f"expected sequence of length {sizes[dim]} at dim {dim} (got {len(data)})")
    for item in data:
        _check_rectangular(item, sizes, dim + 1)


def _needs_care(found: Any, dtype: Dtype) -> bool:
    """Whether numbers for which NumPy chose the dtype `found` are to be checked one by one."""
    kind = found.kind
    if kind == "O":
        return True
    if dtype.is_integral:
        return kind in "fuc" or (kind == "i" and dtype.name == "uint64")
    return kind == "c" and dtype.is_floating_point


def _stored(value: Any, dtype: Dtype) -> Any:
    """What an element of `dtype` becomes when a number, or each of nested lists, is put there.

    TypeError, ValueError, OverflowError or RuntimeError, as PyTorch, for what it cannot hold.
    """
    if type(value) is list:
        return [_stored(item, dtype) for item in value]
    if not isinstance(value, _SCALARS):
        value = value.item() if hasattr(value, "item") else value
    if dtype.is_floating_point:
        if isinstance(value, (int, float)):
            return float(value)
        raise TypeError(f"must be real number, not {type(value).__name__}")
    if not dtype.is_integral:
        return value
    if dtype.name == "uint64":
        return _stored_unsigned(value)
    if not isinstance(value, (int, float)):
        kind = type(value).__name__
        raise TypeError(f"'{kind}' object cannot be interpreted as an integer")
    info = iinfo(dtype)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("Overflow when unpacking long long")
    # PyTorch lets negative integers, not other numbers, wrap around in unsigned types.
    wraps = isinstance(value, int) and not dtype.is_signed
    if not (-info.max if wraps else info.min) <= value <= info.max:
        raise RuntimeError(_out_of_range(dtype))
    return int(value) % (1 << info.bits) if wraps else int(value)


def _stored_unsigned(value: Any) -> int:
    """The same for uint64."""
    if not isinstance(value, int):
        raise TypeError("an integer is required")
    if value < 0:
        raise OverflowError("can't convert negative int to unsigned")
    if value >= 2**64:
        raise OverflowError("int too big to convert")
    return int(value)


def _out_of_range(dtype: Dtype) -> str:
    return f"value cannot be converted to type {dtype.name} without overflow"


def _host_array(data: Any, dtype: Dtype) -> Array:
    """Return nested data as a new host array of `dtype`; RuntimeError for numbers out of range."""
    if dtype.np.kind == "f" and (
        type(data) is float or (type(data) is list and set(map(type, data)) == {float})
    ):
        return CPU.xp.array(data, dtype.np)
    numbers = _numbers_only(data)
    try:
        array = CPU.asarray(numbers)
    except ValueError:
        _check_rectangular(data)
        raise
    if _needs_care(array.dtype, dtype):
        values = CPU.xp.array(numbers, object)  # as they were: NumPy mixes large ints into floats
        return CPU.asarray(_stored(values.tolist(), dtype), dtype.np).reshape(array.shape)
    if dtype.is_integral and dtype.itemsize < 8 and array.size:
        info = iinfo(dtype)
        # PyTorch lets negative numbers wrap around in unsigned types.
        lowest = info.min if dtype.is_signed else -info.max
        if not (array.min() >= lowest and array.max() <= info.max):
            raise RuntimeError(_out_of_range(dtype))
    return array.astype(dtype.np, copy=type(data) not in _PLAIN)


def _copy_of(data: Any, dtype: Dtype | None, device: Any) -> Tensor:
    dtype = as_dtype(dtype)
    if isinstance(data, Tensor):
        return _detached_copy(data, dtype, device)
    if type(data) not in _PLAIN and _is_array(data) and not _is_nested(data):
        host = CPU.xp.array(data, order="C")
        from_numpy_dtype(host.dtype)
        if dtype is not None:
            host = host.astype(dtype.np)
    else:
        host = _host_array(data, dtype or infer_dtype(data))
    return Tensor._wrap(backend_for(chosen_device(device)).asarray(host))


def _detached_copy(data: Tensor, dtype: Dtype | None, device: Any) -> Tensor:
    source = data.detach()
    target = data.device if device is None else Device(device)
    out: Tensor = to(source, target, as_dtype(dtype) or data.dtype, copy=True)
    return out


@public()
def tensor(
    data: Any,
    *,
    dtype: Dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Copy `data` (number, nested sequences of numbers and 0-d tensors, array) into a new leaf.

    Python floats become the default dtype, ints int64, bools bool; arrays keep their dtype. Raises
    ValueError for ragged sequences and RuntimeError for numbers that do not fit `dtype`.
    """
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), "
            "rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
    return require_grad(_copy_of(data, dtype, device), requires_grad)


@public(method=True, function=False)
def new_tensor(
    input: Tensor,
    data: Any,
    *,
    dtype: Dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Copy `data` into a new leaf with the dtype and device of `input`."""
    out = _copy_of(data, as_dtype(dtype) or input.dtype, device or input.device)
    return require_grad(out, requires_grad)


@public()
def scalar_tensor(
    s: Any, *, dtype: Dtype | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0-d tensor of one number, of the default dtype unless `dtype` says otherwise."""
    return require_grad(_copy_of(s, as_dtype(dtype) or get_default_dtype(), device), requires_grad)


@public()
def as_tensor(data: Any, dtype: Dtype | None = None, device: Any = None) -> Tensor:
    """Return `data` as a tensor, sharing its memory where dtype and device allow."""
    if isinstance(data, Tensor):
        return to(
            data, data.device if device is None else Device(device), as_dtype(dtype) or data.dtype
        )
    if isinstance(data, CPU.array_type) and chosen_device(device).type == "cpu":
        shared = from_numpy(data)
        return shared if dtype is None else cast(shared, dtype)
    return _copy_of(data, dtype, device)


@public()
def asarray(
    obj: Any,
    *,
    dtype: Dtype | None = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Like `as_tensor`; `copy=True` never shares memory."""
    if isinstance(obj, (bytes, bytearray, memoryview)):
        obj = CPU.xp.frombuffer(obj, (as_dtype(dtype) or get_default_dtype()).np)
    if copy is False:
        _refuse_copying(obj, dtype, device)
    out = _copy_of(obj, dtype, device) if copy else as_tensor(obj, dtype, device)
    return require_grad(out, requires_grad)


def _refuse_copying(obj: Any, dtype: Dtype | None, device: Any) -> None:
    """Raise PyTorch's error if a tensor of this dtype and device cannot share `obj`'s memory."""
    if not isinstance(obj, Tensor) and not hasattr(obj, "__array_interface__"):
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    own = obj.dtype if isinstance(obj, Tensor) else from_numpy_dtype(obj.dtype)
    place = obj.device if isinstance(obj, Tensor) else Device("cpu")
    if device is not None and Device(device).type != place.type:
        raise ValueError(f"can't alias tensor from device '{place}' to '{Device(device)}'.")
    if dtype is not None and own is not as_dtype(dtype):
        raise ValueError(f"can't alias tensor with dtype '{own}' into dtype '{as_dtype(dtype)}'.")


@public()
def from_numpy(array: Any) -> Tensor:
    """Wrap an ndarray; both share the memory.

    Raises TypeError for what is no ndarray or has a dtype no tensor has, ValueError for negative
    strides; warns when the array is read-only.
    """
    if not isinstance(array, CPU.array_type):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    from_numpy_dtype(array.dtype)
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array  with array.copy().) "
        )
    if not array.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable "
            "tensors. This means writing to this tensor will result in undefined behavior. You may "
            "want to copy the array to protect its data or make it writable before converting it "
            "to a tensor.",
            UserWarning,
            stacklevel=2,
        )
    return Tensor._wrap(array.view(CPU.array_type) if type(array) is not CPU.array_type else array)
