"""`IterDataPipe` and `MapDataPipe`: datasets whose methods are other data pipes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, TypeVar

from disttorch.utils.data.dataset import Dataset, IterableDataset

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_INVALIDATED = (
    "This iterator has been invalidated because another iterator has been created "
    "from the same IterDataPipe: {}\n"
    "This may be caused by multiple references to the same IterDataPipe. We recommend "
    "using `.fork()` if that is necessary."
)


class DataChunk(list[T]):
    """A batch of a data pipe: a list whose `raw_iterator` is that of its `items`."""

    def __init__(self, items: Iterable[T]) -> None:
        items = list(items)
        super().__init__(items)
        self.items = items

    def as_str(self, indent: str = "") -> str:
        """The items, separated by commas, in brackets."""
        return indent + "[" + ", ".join(str(i) for i in self) + "]"

    def raw_iterator(self) -> Iterator[T]:
        """Iterate over the items as they were given."""
        return iter(self.items)


class _Pipe:
    """What both kinds share: methods that are other pipes, and hooks on pickling."""

    functions: ClassVar[dict[str, Callable[..., Any]]]
    getstate_hook: ClassVar[Callable[..., Any] | None] = None
    reduce_ex_hook: ClassVar[Callable[..., Any] | None] = None
    repr_hook: ClassVar[Callable[..., str] | None] = None
    str_hook: ClassVar[Callable[..., str] | None] = None

    def __getattr__(self, name: str) -> Any:
        if name in type(self).functions:
            return functools.partial(type(self).functions[name], self)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    @classmethod
    def register_function(cls, function_name: str, function: Callable[..., Any]) -> None:
        """Make `function` a method of all pipes of this kind."""
        cls.functions[function_name] = function

    @classmethod
    def register_datapipe_as_function(
        cls, function_name: str, cls_to_register: Any, enable_df_api_tracing: bool = False
    ) -> None:
        """Make a pipe class a method of all pipes of this kind; Exception if the name is taken."""
        if function_name in cls.functions:
            raise Exception(
                f"Unable to add DataPipe function name {function_name} as it is already taken"
            )

        def method(source: Any, *args: Any, **kwargs: Any) -> Any:
            return cls_to_register(source, *args, **kwargs)

        cls.functions[function_name] = functools.update_wrapper(method, cls_to_register)

    def __getstate__(self) -> Any:
        hook = type(self).getstate_hook
        return self.__dict__ if hook is None else hook(self.__dict__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        hook = type(self).reduce_ex_hook
        if hook is not None:
            try:
                return hook(self)
            except NotImplementedError:
                pass
        return super().__reduce_ex__(protocol)

    @classmethod
    def set_getstate_hook(cls, hook_fn: Callable[..., Any] | None) -> None:
        """Set what the state of a pipe goes through before it is pickled; None takes it away."""
        if cls.getstate_hook is not None and hook_fn is not None:
            raise RuntimeError("Attempt to override existing getstate_hook")
        cls.getstate_hook = staticmethod(hook_fn) if hook_fn is not None else None

    @classmethod
    def set_reduce_ex_hook(cls, hook_fn: Callable[..., Any] | None) -> None:
        """Set what pickles a pipe instead of itself; None takes it away."""
        if cls.reduce_ex_hook is not None and hook_fn is not None:
            raise RuntimeError("Attempt to override existing reduce_ex_hook")
        cls.reduce_ex_hook = staticmethod(hook_fn) if hook_fn is not None else None

    def __repr__(self) -> str:
        hook = type(self).repr_hook
        return type(self).__qualname__ if hook is None else hook(self)

    def __str__(self) -> str:
        hook = type(self).str_hook
        return type(self).__qualname__ if hook is None else hook(self)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *type(self).functions})


class _OneIterator:
    """An iterator over a pipe that ends with an error once a newer one was made."""

    def __init__(self, pipe: IterDataPipe[Any], inner: Iterator[Any], number: int) -> None:
        self._pipe, self._inner, self._number = pipe, inner, number

    def __iter__(self) -> _OneIterator:
        return self

    def __next__(self) -> Any:
        if self._pipe._valid_iterator_id != self._number:
            raise RuntimeError(_INVALIDATED.format(self._pipe))
        return next(self._inner)


class IterDataPipe(_Pipe, IterableDataset[T_co]):
    """A stream that others can be chained to: override `__iter__`, and `reset` for its state.

    One iterator of a pipe is valid at a time: making another resets the pipe.
    """

    functions: ClassVar[dict[str, Callable[..., Any]]] = {}
    _valid_iterator_id = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        iterate = cls.__dict__.get("__iter__")
        if iterate is None:
            return

        @functools.wraps(iterate)
        def checked(self: IterDataPipe[Any]) -> Any:
            self._valid_iterator_id += 1
            self.reset()
            return _OneIterator(self, iterate(self), self._valid_iterator_id)

        cls.__iter__ = checked  # type: ignore[method-assign]

    def __iter__(self) -> Iterator[T_co]:
        return self  # of subclasses that have `__next__`

    def reset(self) -> None:
        """Forget the position; called when an iterator is made."""


class DFIterDataPipe(IterDataPipe[Any]):
    """A stream of data frames."""

    def _is_dfpipe(self) -> bool:
        return True


class MapDataPipe(_Pipe, Dataset[T_co]):
    """A map that others can be chained to: override `__getitem__` and `__len__`."""

    functions: ClassVar[dict[str, Callable[..., Any]]] = {}
