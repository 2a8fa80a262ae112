"""Decorators of data pipes: names as methods, determinism, checks of types."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

from disttorch.utils.data.datapipes.datapipe import IterDataPipe, MapDataPipe

_state = {"deterministic": False, "checked": True}


class functional_datapipe:
    """Make a pipe class the method `name` of all pipes of its kind."""

    def __init__(self, name: str, enable_df_api_tracing: bool = False) -> None:
        self.name = name
        self.enable_df_api_tracing = enable_df_api_tracing

    def __call__(self, cls: Any) -> Any:
        """Register the class; TypeError for what is no data pipe."""
        kind = cls.cls if isinstance(cls, non_deterministic) else cls
        kind = getattr(getattr(cls, "__self__", None), "cls", kind)
        if not isinstance(kind, type) or not issubclass(kind, (IterDataPipe, MapDataPipe)):
            raise TypeError("`functional_datapipe` can only decorate IterDataPipe")
        base = IterDataPipe if issubclass(kind, IterDataPipe) else MapDataPipe
        base.register_datapipe_as_function(self.name, cls, self.enable_df_api_tracing)
        return cls


class _Switch:
    """A context that holds one setting from when it is made."""

    name: str
    value: bool

    def __init__(self) -> None:
        self._before = _state[self.name]
        _state[self.name] = self.value

    def __enter__(self) -> None:
        """Do nothing: the setting was changed when this was made."""

    def __exit__(self, *_: object) -> None:
        _state[self.name] = self._before


class guaranteed_datapipes_determinism(_Switch):
    """Refuse to make pipes that are `non_deterministic` within it."""

    name, value = "deterministic", True


class runtime_validation_disabled(_Switch):
    """Let `runtime_validation` check nothing within it."""

    name, value = "checked", False


class non_deterministic:
    """Mark a pipe class as not deterministic: always, or where a function of its arguments says."""

    cls: Any = None

    def __init__(self, arg: Any) -> None:
        if isinstance(arg, type):
            if not issubclass(arg, IterDataPipe):
                raise TypeError(
                    "Only `IterDataPipe` can be decorated with `non_deterministic`"
                    f", but {arg.__name__} is found"
                )
            self.cls = arg
        elif callable(arg):
            self.deterministic_fn = arg
        else:
            raise TypeError(f"{arg} can not be decorated by non_deterministic")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pipe, or take the class; TypeError where determinism is guaranteed."""
        if self.cls is None:
            if not (isinstance(args[0], type) and issubclass(args[0], IterDataPipe)):
                raise TypeError(
                    f"Only `IterDataPipe` can be decorated, but {args[0].__name__} is found"
                )
            self.cls = args[0]
            return self.deterministic_wrapper_fn
        if _state["deterministic"]:
            raise TypeError(
                f"{self.cls.__name__} is non-deterministic, but you set "
                "'guaranteed_datapipes_determinism'. "
                "You can turn off determinism for this DataPipe if that is acceptable "
                "for your application"
            )
        return self.cls(*args, **kwargs)

    def deterministic_wrapper_fn(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pipe unless it is not deterministic and has to be; raises TypeError then."""
        result = self.deterministic_fn(*args, **kwargs)
        if not isinstance(result, bool):
            raise TypeError(
                "deterministic_fn of `non_deterministic` decorator is required "
                f"to return a boolean value, but {type(result)} is found"
            )
        if _state["deterministic"] and result:
            raise TypeError(
                f"{self.cls.__name__} is non-deterministic with the inputs, but you set "
                "'guaranteed_datapipes_determinism'. You can turn off determinism "
                "for this DataPipe if that is acceptable for your application"
            )
        return self.cls(*args, **kwargs)


def _is_pipe_hint(hint: Any) -> bool:
    kind = get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, IterDataPipe)


def argument_validation(f: Callable[..., Any]) -> Callable[..., Any]:
    """Check that arguments annotated as data pipes are data pipes; TypeError otherwise."""
    signature, hints = inspect.signature(f), get_type_hints(f)

    @functools.wraps(f)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if _is_pipe_hint(hints.get(name)) and not isinstance(value, IterDataPipe):
                raise TypeError(
                    f"Expected argument '{name}' as a IterDataPipe, but found {type(value)}"
                )
        return f(*args, **kwargs)

    return checked


def runtime_validation(f: Callable[..., Any]) -> Callable[..., Any]:
    """Check what an `__iter__` yields against its annotation ``Iterator[type]``."""
    if f.__name__ != "__iter__":
        raise TypeError(
            f"Can not decorate function {f.__name__} with 'runtime_validation', only '__iter__'"
        )
    hints = get_args(get_type_hints(f).get("return", Any))
    kind = (get_origin(hints[0]) or hints[0]) if hints else object

    @functools.wraps(f)
    def checked(self: Any) -> Any:
        for item in f(self):
            if _state["checked"] and isinstance(kind, type) and not isinstance(item, kind):
                raise RuntimeError(
                    f"Expected an instance as subtype of {kind}, but found {item}({type(item)})"
                )
            yield item

    return checked
