"""`Parameter` and `Buffer`: tensors that a Module registers when they are assigned to it."""

from __future__ import annotations

from typing import Any

from disttorch.backends import backend_for
from disttorch.device import chosen_device
from disttorch.dtype import dtype as Dtype
from disttorch.dtype import get_default_dtype
from disttorch.tensor import Tensor


class _ParameterType(type):
    """Makes ``isinstance(t, Parameter)`` true for tensors marked with `_is_param` too."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return type.__instancecheck__(cls, instance) or (
            cls is Parameter
            and isinstance(instance, Tensor)
            and getattr(instance, "_is_param", False)
        )


class Parameter(Tensor, metaclass=_ParameterType):
    """A tensor that is a module's parameter; shares the memory of `data`, is always a leaf.

    Raises RuntimeError for `data` of integer dtype unless `requires_grad` is False.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Any:
        """Make a parameter of an existing tensor, or an empty one."""
        if data is None:
            self = cls._wrap(Tensor(0)._array)
        else:
            self = cls._wrap(data.detach()._array)
        if requires_grad and not (self.is_floating_point() or self.is_complex()):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        self._requires_grad = bool(requires_grad)
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]  # type: ignore[no-any-return]
        copied = type(self)(Tensor._wrap(self._array.copy(order="K")), self.requires_grad)
        memo[id(self)] = copied
        return copied  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class _BufferType(type):
    """Makes ``isinstance(t, Buffer)`` true for plain tensors that `Buffer` marked."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferType):
    """A tensor that a module registers as buffer when it is assigned; saved if `persistent`."""

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Any:
        """Mark a tensor that shares the memory of `data` (an empty one by default)."""
        source = Tensor(0) if data is None else data
        marked = source.detach().requires_grad_(source.requires_grad)
        marked.persistent = persistent  # type: ignore[attr-defined]
        marked._is_buffer = True  # type: ignore[attr-defined]
        return marked


def empty_tensor(*shape: int, device: Any = None, dtype: Dtype | None = None) -> Tensor:
    """Return an uninitialised tensor of `shape`; what modules make parameters and buffers of."""
    backend = backend_for(chosen_device(device))
    return Tensor._wrap(backend.xp.empty(shape, (dtype or get_default_dtype()).np))


def empty_parameter(*shape: int, device: Any = None, dtype: Dtype | None = None) -> Parameter:
    """Return an uninitialised parameter of `shape`, which `reset_parameters` then fills."""
    return Parameter(empty_tensor(*shape, device=device, dtype=dtype))  # type: ignore[no-any-return]


__all__ = ["Buffer", "Parameter", "empty_parameter", "empty_tensor"]
