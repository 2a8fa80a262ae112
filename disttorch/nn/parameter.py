"""`Parameter` and `Buffer`: tensors that a Module registers when they are assigned to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from disttorch.backends import backend_for
from disttorch.device import chosen_device
from disttorch.dtype import dtype as Dtype
from disttorch.dtype import get_default_dtype
from disttorch.ops import arithmetic, matmul, pointwise, reduce
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

    __torch_function__ = Tensor._no_torch_function

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
            return memo[id(self)]
        copied = type(self)(Tensor._wrap(self._array.copy(order="K")), self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class _BufferType(type):
    """Makes ``isinstance(t, Buffer)`` true for plain tensors that `Buffer` marked."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferType):
    """A tensor that a module registers as buffer when it is assigned; saved if `persistent`."""

    __torch_function__ = Tensor._no_torch_function

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Any:
        """Mark a tensor that shares the memory of `data` (an empty one by default)."""
        source = Tensor(0) if data is None else data
        marked = source.detach().requires_grad_(source.requires_grad)
        marked.persistent = persistent  # type: ignore[attr-defined]
        marked._is_buffer = True  # type: ignore[attr-defined]
        return marked


_NO_SHAPE = (
    "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
    "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. "
    "Call `forward` to initialize the parameters before accessing their attributes."
)


class UninitializedTensorMixin:
    """Part of parameters and buffers whose shape is not known yet."""

    cls_to_become: type

    def materialize(
        self, shape: Sequence[int], device: Any = None, dtype: Dtype | None = None
    ) -> None:
        """Become an ordinary tensor of `shape`, uninitialised, on this device and of this dtype."""
        own: Any = self
        made = empty_tensor(*shape, device=device or own.device, dtype=dtype or own.dtype)
        self.__class__ = self.cls_to_become
        own.data = made

    @property
    def shape(self) -> Any:
        """Raise: there is none yet."""
        raise RuntimeError(_NO_SHAPE)

    def share_memory_(self) -> NoReturn:
        """Raise: there is no memory yet."""
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to "
            "initialize the parameters before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, proto: Any) -> Any:
        own: Any = self
        return type(self), (own.requires_grad,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        own: Any = self
        if id(self) not in memo:
            memo[id(self)] = type(self)(own.requires_grad, own.device, own.dtype)  # type: ignore[call-arg]
        return memo[id(self)]


_NO_VALUES = (
    "Attempted to use an uninitialized parameter in <method '{method}' of 'torch._C.TensorBase' "
    "objects>. This error happens when you are using a `LazyModule` or explicitly manipulating "
    "`torch.nn.parameter.{kind}` objects. When using LazyModules Call `forward` with a dummy batch "
    "to initialize the parameters before calling torch functions"
)
_OPERATORS = {
    **{name: name for name in ("add", "sub", "mul", "pow", "matmul")},
    **{"truediv": "div", "floordiv": "floor_divide", "mod": "remainder"},
}
_COMPUTING = {
    **{name: name for module in (arithmetic, matmul, pointwise, reduce) for name in module.__all__},
    **{f"__{side}{o}__": name for o, name in _OPERATORS.items() for side in ("", "r", "i")},
    **{"__neg__": "neg", "__abs__": "abs", "__getitem__": "__getitem__"},
}


def _refusing(method: str) -> Callable[..., NoReturn]:
    def refuse(self: Any, *args: Any, **keywords: Any) -> NoReturn:
        raise ValueError(_NO_VALUES.format(method=method, kind=type(self).__name__))

    return refuse


# What computes has nothing to compute with; what moves and names parameters works as on others.
for _name, _method in _COMPUTING.items():
    if hasattr(Tensor, _name):
        setattr(UninitializedTensorMixin, _name, _refusing(_method))


def is_lazy(param: Any) -> bool:
    """Whether `param` is a parameter or buffer whose shape is not known yet."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter without a shape, for modules that see it in their first input."""

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Dtype | None = None
    ) -> Any:
        """Make one of a device and dtype, the default ones unless given."""
        return Parameter.__new__(cls, empty_tensor(0, device=device, dtype=dtype), requires_grad)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer without a shape, for modules that see it in their first input."""

    cls_to_become = Tensor
    __torch_function__ = Tensor._no_torch_function

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Dtype | None = None
    ) -> Any:
        """Make one of a device and dtype, the default ones unless given."""
        self = cls._wrap(empty_tensor(0, device=device, dtype=dtype)._array)
        self._requires_grad = bool(requires_grad)
        return self


def empty_tensor(*shape: int, device: Any = None, dtype: Dtype | None = None) -> Tensor:
    """Return an uninitialised tensor of `shape`; what modules make parameters and buffers of."""
    backend = backend_for(chosen_device(device))
    return Tensor._wrap(backend.xp.empty(shape, (dtype or get_default_dtype()).np))


def empty_parameter(*shape: int, device: Any = None, dtype: Dtype | None = None) -> Parameter:
    """Return an uninitialised parameter of `shape`, which `reset_parameters` then fills."""
    return Parameter(empty_tensor(*shape, device=device, dtype=dtype))


def factory_kwargs(kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments among `kwargs` that make tensors: device, dtype, memory_format.

    ``factory_kwargs={...}`` among them may hold them too. TypeError for others and for doubles.
    """
    names = {"device", "dtype", "memory_format"}
    given = dict(kwargs or {})
    found = dict(given.pop("factory_kwargs", {}))
    if given.keys() - names:
        raise TypeError(f"unexpected kwargs {given.keys() - names}")
    for name, value in given.items():
        if name in found:
            raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
        found[name] = value
    return found


__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "empty_parameter",
    "empty_tensor",
    "factory_kwargs",
    "is_lazy",
]
