"""Switches that decide whether operations are recorded: no_grad, enable_grad, inference_mode."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from disttorch.inference import THREADS

Fn = TypeVar("Fn", bound=Callable[..., Any])


class _State(threading.local):
    """Per-thread switches; class attributes are each thread's defaults."""

    enabled = True
    inference = False


STATE = _State()


def is_grad_enabled() -> bool:
    """Return whether operations are recorded in this thread."""
    return STATE.enabled


def is_inference_mode_enabled() -> bool:
    """Return whether inference mode is on in this thread."""
    return STATE.inference


def _note_thread() -> None:
    """Let those who make tensors know whether this thread is in inference mode."""
    (THREADS.add if STATE.inference else THREADS.discard)(threading.get_ident())


class _GradSwitch:
    """Context manager and decorator that sets the recording switch and puts it back."""

    def __init__(self, enabled: bool, inference: bool | None = None) -> None:
        self.enabled = enabled
        self.inference = inference
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._before.append((STATE.enabled, STATE.inference))
        STATE.enabled = self.enabled
        if self.inference is not None:
            STATE.inference = self.inference
            _note_thread()

    def __exit__(self, *_: object) -> None:
        STATE.enabled, STATE.inference = self._before.pop()
        if self.inference is not None:
            _note_thread()

    def clone(self) -> _GradSwitch:
        """Return a fresh switch with the same setting, one for each decorated call."""
        return _GradSwitch(self.enabled, self.inference)

    def __call__(self, function: Fn) -> Fn:
        if inspect.isgeneratorfunction(function):
            return _switched_generator(self, function)  # type: ignore[return-value]

        @functools.wraps(function)
        def switched(*args: Any, **keywords: Any) -> Any:
            with self.clone():
                return function(*args, **keywords)

        return switched  # type: ignore[return-value]


def _switched_generator(switch: _GradSwitch, function: Callable[..., Any]) -> Callable[..., Any]:
    """Hold the switch only while the generator runs, not while it is suspended."""

    @functools.wraps(function)
    def switched(*args: Any, **keywords: Any) -> Any:
        generator = function(*args, **keywords)
        sent = None
        try:
            while True:
                with switch.clone():
                    item = generator.send(sent)
                sent = yield item
        except StopIteration as stop:
            return stop.value
        finally:
            generator.close()

    return switched


class _BareDecorator(_GradSwitch):
    """A switch with a fixed setting, usable as ``@switch`` without parentheses too."""

    mode: bool

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        """Make the switch, or decorate `function` at once."""
        self = object.__new__(cls)
        _GradSwitch.__init__(self, cls.mode)
        return self if function is None else self(function)

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        """Do nothing: `__new__` has set everything."""


class no_grad(_BareDecorator):
    """Do not record operations: ``with no_grad():``, ``@no_grad()`` or ``@no_grad``."""

    mode = False


class enable_grad(_BareDecorator):
    """Record operations again inside a `no_grad` block."""

    mode = True


class set_grad_enabled(_GradSwitch):
    """Set recording on or off: takes effect at once, and is undone when used as a context."""

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self._outer = (STATE.enabled, STATE.inference)
        STATE.enabled = self.enabled

    def __enter__(self) -> None:
        STATE.enabled = self.enabled
        self._before.append(self._outer)

    def __call__(self, function: Fn) -> Fn:
        """As a decorator, leave the switch of the defining scope as it was."""
        STATE.enabled, STATE.inference = self._outer
        return super().__call__(function)


class inference_mode(_GradSwitch):
    """Like `no_grad`; ``inference_mode(False)`` records again. ``@inference_mode`` works too."""

    def __new__(cls, mode: Any = True) -> Any:
        """Make the switch, or decorate the function `mode` at once."""
        return object.__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode, bool(mode))


class _unsafe_preserve_version_counter:
    """Context in which in-place writes to a tensor, or several, leave its version as it was."""

    def __init__(self, tensors: Any) -> None:
        self.tensors = (tensors,) if hasattr(tensors, "_cell") else tuple(tensors)
        self._versions = [t._version for t in self.tensors]

    def __enter__(self) -> None:
        """Do nothing: the versions are noted already."""

    def __exit__(self, *_: object) -> None:
        for tensor, version in zip(self.tensors, self._versions, strict=True):
            tensor._cell[0] = version
