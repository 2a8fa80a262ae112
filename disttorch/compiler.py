"""`disttorch.compiler`: there is none. What is asked to be compiled runs as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
    **other: Any,
) -> Any:
    """Return `model`, a function or a module, itself; also as ``@compile`` or ``@compile(...)``.

    The arguments are PyTorch's and change nothing. Raises RuntimeError for a mode beside options.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    return _same if model is None else model


def _same(model: Any) -> Any:
    return model


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Return `fn` itself; also as a decorator with arguments."""
    return _same if fn is None else fn


def allow_in_graph(fn: Any) -> Any:
    """Return `fn` itself."""
    return fn


def assume_constant_result(fn: Any) -> Any:
    """Return `fn` itself."""
    return fn


def is_compiling() -> bool:
    """Return False: nothing is ever compiled."""
    return False


def is_dynamo_compiling() -> bool:
    """Return False: nothing is ever compiled."""
    return False


def is_exporting() -> bool:
    """Return False: nothing is ever exported."""
    return False


def reset() -> None:
    """Forget what was compiled: nothing."""


def cudagraph_mark_step_begin() -> None:
    """Say that a step begins; nothing depends on it."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """Return the names of compilers: none."""
    return []


def set_stance(*args: Any, **keywords: Any) -> Callable[[Any], Any]:
    """Say what to do about recompilation; there is none."""
    return _same
