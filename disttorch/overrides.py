"""Subclasses of Tensor and `__torch_function__`: whoever makes none pays nothing for them.

The first subclass that a program defines makes `install` put dispatching versions of the public
functions into `disttorch` and `disttorch.nn.functional`; each subclass gets dispatching versions of
Tensor's methods. Plain tensors keep Tensor's own.
"""

from __future__ import annotations

import functools
import importlib
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from disttorch import ops
from disttorch.tensor import Tensor

__all__ = [
    "DisableTorchFunctionSubclass",
    "get_default_nowrap_functions",
    "handle_torch_function",
    "has_torch_function",
    "install",
    "is_tensor_like",
]

Function = Callable[..., Any]


class _State(threading.local):
    disabled = False


_STATE = _State()


class DisableTorchFunctionSubclass:
    """Context in which `__torch_function__` is not called."""

    def __enter__(self) -> None:
        self._before, _STATE.disabled = _STATE.disabled, True

    def __exit__(self, *_: object) -> None:
        _STATE.disabled = self._before


def get_default_nowrap_functions() -> set[Function]:
    """Return the functions whose results keep their type."""
    return {Tensor.backward, Tensor.retain_grad, Tensor.as_subclass}


def is_tensor_like(inp: Any) -> bool:
    """Return whether `inp` is a tensor or has `__torch_function__`."""
    return isinstance(inp, Tensor) or hasattr(inp, "__torch_function__")


def _is_overloaded(x: Any) -> bool:
    kind = type(x)
    if kind is Tensor:
        return False
    own = getattr(kind, "__torch_function__", None)
    return own is not None and own is not getattr(Tensor, "_no_torch_function", None)


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Return whether one of the arguments wants its `__torch_function__` called."""
    return not _STATE.disabled and any(_is_overloaded(x) for x in relevant_args)


def handle_torch_function(
    public_api: Function, relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """Call the `__torch_function__` of the arguments, subclasses before their bases.

    Raises TypeError if all of them return NotImplemented.
    """
    overloaded: list[Any] = []
    for x in relevant_args:
        if _is_overloaded(x) and all(type(x) is not type(y) for y in overloaded):
            place = next(
                (i for i, y in enumerate(overloaded) if issubclass(type(x), type(y))),
                len(overloaded),
            )
            overloaded.insert(place, x)
    kinds = tuple(type(x) for x in overloaded)
    for x in overloaded:
        result = x.__torch_function__(public_api, kinds, args, kwargs)
        if result is not NotImplemented:
            return result
    name = f"{getattr(public_api, '__module__', '')}.{getattr(public_api, '__name__', '')}"
    raise TypeError(
        f"no implementation found for '{name}' on types that implement __torch_function__: "
        f"{list(kinds)}"
    )


def converted(result: Any, cls: type[Tensor]) -> Any:
    """Return `result` with the tensors in it as instances of `cls`."""
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) else result.as_subclass(cls)
    if isinstance(result, (tuple, list)):
        items = [converted(r, cls) for r in result]
        if hasattr(result, "_fields"):
            return type(result)(*items)
        return type(result)(items)
    return result


def default_torch_function(
    cls: type[Tensor], func: Function, types: Sequence[type], args: Any = (), kwargs: Any = None
) -> Any:
    """What `Tensor.__torch_function__` does: call `func`, return tensors of type `cls`."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
    return result if func in get_default_nowrap_functions() else converted(result, cls)


def _relevant(args: Sequence[Any], keywords: dict[str, Any]) -> Iterator[Any]:
    """The arguments and, one level down, what is in lists and tuples of them."""
    for x in (*args, *keywords.values()):
        if isinstance(x, (tuple, list)):
            yield from x
        else:
            yield x


def _dispatching(function: Function) -> Function:
    """A version of a public function that asks its arguments' types first."""

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        if not _STATE.disabled:
            relevant = list(_relevant(args, keywords))
            if any(_is_overloaded(x) for x in relevant):
                return handle_torch_function(call, relevant, *args, **keywords)
        return function(*args, **keywords)

    return call


def _dispatching_method(function: Function) -> Function:
    """The same for a method, which passes on the method of Tensor itself."""

    @functools.wraps(function)
    def call(self: Any, *args: Any, **keywords: Any) -> Any:
        if _STATE.disabled:
            return function(self, *args, **keywords)
        relevant = [self, *_relevant(args, keywords)]
        return handle_torch_function(function, relevant, self, *args, **keywords)

    return call


# Special methods that are operators on tensors; the others are Python's own business.
_SPECIAL = {
    *("__getitem__", "__setitem__", "__matmul__", "__rmatmul__", "__neg__", "__pos__", "__abs__"),
    *("__invert__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__rdiv__"),
}
_BINARY = "add sub mul truediv floordiv mod pow and or xor lshift rshift".split()
_SPECIAL |= {f"__{prefix}{name}__" for prefix in ("", "r", "i") for name in _BINARY}
_PLAIN = {"as_subclass", "requires_grad_", "register_hook", "size", "stride", "dim", "type"}


def install(cls: type[Tensor]) -> None:
    """Make a new subclass of Tensor dispatch its operators; called by Tensor itself."""
    _install_functions()
    for name, member in list(vars(Tensor).items()):
        overridden = any(
            name in vars(c) for c in cls.__mro__ if c is not Tensor and c is not object
        )
        private = name.startswith("_") and name not in _SPECIAL
        if overridden or private or name in _PLAIN:
            continue
        if isinstance(member, types.FunctionType):
            setattr(cls, name, _dispatching_method(member))
        elif isinstance(member, property) and name in ("T", "mT", "H", "mH", "real", "imag"):
            setattr(cls, name, property(_dispatching_method(member.fget)))  # type: ignore[arg-type]


@functools.cache
def _install_functions() -> None:
    """Put dispatching functions where users find the public ones."""
    functional = importlib.import_module("disttorch.nn.functional")
    made = {f: _dispatching(f) for f in ops.PUBLIC.values()}
    for module in (sys.modules["disttorch"], functional):
        for name, value in list(vars(module).items()):
            if isinstance(value, types.FunctionType) and not name.startswith("_"):
                if value in made:
                    wrapper = made[value]
                elif module is functional:
                    wrapper = _dispatching(value)
                else:
                    continue
                # Pickle stores a function as the place where it is found.
                wrapper.__module__, wrapper.__qualname__ = module.__name__, name
                setattr(module, name, wrapper)
