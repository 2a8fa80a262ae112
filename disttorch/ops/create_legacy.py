"""The constructors of PyTorch's past: Tensor(2, 3), FloatTensor([1, 2]), x.new(...)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from disttorch.autograd.op import public
from disttorch.backends import backend_for
from disttorch.device import chosen_device
from disttorch.device import device as Device
from disttorch.dtype import TYPE_NAMES, c_name, get_default_dtype, set_default_dtype
from disttorch.dtype import dtype as Dtype
from disttorch.ops.create import tensor
from disttorch.ops.memory import set_
from disttorch.size import Size
from disttorch.storage import is_storage
from disttorch.tensor import Tensor

__all__ = ["__new__", "new", "set_default_tensor_type"]


def construct(dtype: Dtype, where: Device, args: Sequence[Any], strict: bool) -> Tensor:
    """Make a tensor of sizes (uninitialised), a sequence or array (copied), a storage or a tensor.

    A tensor given is looked at, not copied; `strict` refuses one of another dtype. Raises
    TypeError for anything else.
    """
    first = args[0] if len(args) == 1 else None
    if is_storage(first):
        return set_(_empty(dtype, where, (0,)), first)
    if isinstance(first, Tensor):
        if strict and first.dtype is not dtype:
            got = _options(first.dtype, where)
            raise TypeError(f"expected {_options(dtype, where)} (got {got})")
        return first.detach()
    if isinstance(first, Size):
        return _empty(dtype, where, tuple(first))
    if first is None or (hasattr(first, "__index__") and not hasattr(first, "shape")):
        return _empty(dtype, where, _sizes(args) if args else (0,))
    if isinstance(first, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(first).__name__}'")
    if not isinstance(first, Sequence) and not hasattr(first, "__array__"):
        raise TypeError(f"new(): data must be a sequence (got {type(first).__name__})")
    return tensor(first, dtype=dtype, device=where)


def _empty(dtype: Dtype, where: Device, shape: tuple[int, ...]) -> Tensor:
    return Tensor._wrap(backend_for(where).xp.empty(shape, dtype.np))


def _sizes(args: Sequence[Any]) -> tuple[int, ...]:
    try:
        return tuple([n.__index__() for n in args])
    except AttributeError:
        kinds = ", ".join(type(a).__name__ for a in args)
        raise TypeError(
            f"new() received an invalid combination of arguments - got ({kinds}), but expected "
            "sizes, a sequence, a storage or a tensor"
        ) from None


def _options(dtype: Dtype, where: Device) -> str:
    return (
        f"TensorOptions(dtype={c_name(dtype)}, device={where}, layout=Strided, "
        "requires_grad=false (default), pinned_memory=false (default), memory_format=(nullopt))"
    )


@public(method=True, function=False)
def __new__(cls: Any, *args: Any, device: Any = None) -> Tensor:
    """``Tensor(2, 3)`` is uninitialised; ``Tensor([1, 2])`` holds these values; default dtype."""
    if device is not None and Device(device).type != "cpu":
        raise RuntimeError(
            "legacy constructor expects device type: cpu but device type: "
            f"{Device(device).type} was passed"
        )
    made = construct(get_default_dtype(), chosen_device(device), args, strict=False)
    wrapped: Tensor = cls._wrap(made._array)
    wrapped._cell = made._cell
    return wrapped


@public(method=True, function=False)
def new(input: Tensor, *args: Any, device: Any = None) -> Tensor:
    """Make a tensor as ``Tensor(...)`` does, with the dtype and device of `input`."""
    return construct(input.dtype, input.device, args, strict=True)


class LegacyTensorType(type):
    """Classes such as ``FloatTensor``: they make and recognise tensors of one dtype and device."""

    dtype: Dtype
    is_cuda: bool
    is_sparse = False

    def __call__(cls, *args: Any, device: Any = None) -> Tensor:
        """Make a tensor of this type; TypeError for one of CUDA, where there is none."""
        if cls.is_cuda:
            cls._refuse()
        return construct(cls.dtype, Device("cpu"), args, strict=True)

    def _refuse(cls) -> NoReturn:
        raise TypeError(
            f"type torch.cuda.{cls.__name__} not available. Torch not compiled with CUDA enabled."
        )

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, Tensor)
            and instance.dtype is cls.dtype
            and instance.is_cuda == cls.is_cuda
        )

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__.replace('disttorch', 'torch')}.{cls.__name__}'>"


def legacy_types(is_cuda: bool = False) -> dict[str, LegacyTensorType]:
    """Return the tensor types of a device, by their names."""
    module = "disttorch.cuda" if is_cuda else "disttorch"
    return {
        f"{name}Tensor": LegacyTensorType(
            f"{name}Tensor", (), {"dtype": dtype, "is_cuda": is_cuda, "__module__": module}
        )
        for dtype, name in TYPE_NAMES.items()
        if not name.startswith(("UInt", "Complex"))
    }


TENSOR_TYPES = legacy_types()
CUDA_TENSOR_TYPES = legacy_types(is_cuda=True)


@public()
def set_default_tensor_type(t: Any) -> None:
    """Set the default dtype by a tensor type such as ``FloatTensor``, or its name.

    Raises TypeError for one that is not floating.
    """
    kind = t
    if isinstance(t, str):
        place, _, name = t.rpartition(".")
        kind = (CUDA_TENSOR_TYPES if place.endswith("cuda") else TENSOR_TYPES).get(name)
    if not isinstance(kind, LegacyTensorType):
        raise TypeError(
            "invalid type object: only floating-point types are supported as the default type"
        )
    if kind.is_cuda:
        kind._refuse()
    if not kind.dtype.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    set_default_dtype(kind.dtype)
