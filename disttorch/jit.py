"""`disttorch.jit`: what model code says to TorchScript. There is none, so the code runs as it is.

Functions and classes are their own scripts, as under ``PYTORCH_JIT=0``. What is for export
(scripted modules, traces, files) is refused, with a word on what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

__all__ = [
    "Final",
    "annotate",
    "export",
    "ignore",
    "is_scripting",
    "is_tracing",
    "script",
    "script_if_tracing",
    "unused",
]


def script(obj: Any, *args: Any, **keywords: Any) -> Any:
    """Return a function or class itself; RuntimeError for a module, which would be for export."""
    if isinstance(obj, type) or not hasattr(obj, "forward"):
        return obj
    raise RuntimeError(
        "torch.jit.script of a module: there is no TorchScript in disttorch. Call the module as it "
        "is, and save its state_dict() to load it in PyTorch"
    )


def _same(fn: Any) -> Any:
    return fn


def ignore(fn: Any = None, drop: bool = False, **keywords: Any) -> Any:
    """Return `fn` itself; also as a decorator with arguments."""
    return fn if callable(fn) else _same


def export(fn: Any) -> Any:
    """Return `fn` itself."""
    return fn


def unused(fn: Any) -> Any:
    """Return `fn` itself."""
    return fn


def script_if_tracing(fn: Any) -> Any:
    """Return `fn` itself."""
    return fn


def annotate(the_type: Any, the_value: Any) -> Any:
    """Return `the_value`."""
    return the_value


def is_scripting() -> bool:
    """Return False."""
    return False


def is_tracing() -> bool:
    """Return False."""
    return False


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **keywords: Any) -> NoReturn:
        raise RuntimeError(
            f"torch.jit.{name}: there is no TorchScript in disttorch. Keep the model's Python "
            "code, and save its state_dict() to load it in PyTorch"
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "Raise RuntimeError: there is no TorchScript."
    return refuse


trace, trace_module, load, save = map(_refusing, ("trace", "trace_module", "load", "save"))
freeze, optimize_for_inference = _refusing("freeze"), _refusing("optimize_for_inference")
fork, wait = _refusing("fork"), _refusing("wait")
