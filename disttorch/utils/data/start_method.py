"""How loader workers are started: by fork where that is safe, else by a server that forks.

A forked process has the locks of all threads of its parent and none of the threads to open them,
and a CUDA context does not survive a fork; a fork server has neither, but has to be sent the
dataset by pickle.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Our own threads take no locks that a worker needs.
_OWN_THREADS = ("DataLoader", "disttorch", "collectives of ", "store-server")
_MAX_DEPTH = 8
_PRELOAD = ("disttorch.utils.data.pool", "cloudpickle")


@dataclass(frozen=True)
class Start:
    """A way to start workers, and why it was chosen."""

    context: Any
    reason: str
    may_fork: bool = False  # if the dataset cannot be pickled


def foreign_threads() -> list[str]:
    """Names of the threads that a fork would cut off: all but this, the main one and our own."""
    known = {threading.main_thread(), threading.current_thread()}
    return [
        thread.name
        for thread in threading.enumerate()
        if thread not in known
        and not thread.name.startswith(_OWN_THREADS)
        and not isinstance(thread, threading._DummyThread)
    ]


def cuda_is_initialized() -> bool:
    """Whether this process has a CUDA context."""
    from disttorch import cuda  # noqa: PLC0415 - not needed to load without workers

    return cuda.is_initialized()


def why_not_fork() -> str:
    """Why a fork of this process would not be safe now; empty where it would."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return "this platform cannot fork"
    if cuda_is_initialized():
        return "CUDA is initialised, which does not survive a fork"
    threads = foreign_threads()
    if threads:
        named = ", ".join(threads[:3]) + (", ..." if len(threads) > 3 else "")
        return f"threads are running that a fork would cut off ({named})"
    return ""


def choose_start(chosen: Any = None) -> Start:
    """How to start workers: as the user `chosen` (a context), else as is safe now."""
    if chosen is not None:
        _preload(chosen)
        return Start(chosen, "it was asked for")
    of_process = multiprocessing.get_start_method(allow_none=True)
    methods = multiprocessing.get_all_start_methods()
    # Whoever asks for the method without `allow_none` sets it to the platform's first.
    if of_process is not None and of_process != methods[0]:
        context = multiprocessing.get_context(of_process)
        _preload(context)
        return Start(context, "set_start_method says so")
    if "fork" not in methods:
        return Start(multiprocessing.get_context("spawn"), "this platform cannot fork")
    why = why_not_fork()
    if why:
        return _server(why, may_fork=not cuda_is_initialized())
    return Start(multiprocessing.get_context("fork"), "no other threads are running")


def _server(reason: str, may_fork: bool = False) -> Start:
    context = multiprocessing.get_context("forkserver")
    _preload(context)
    return Start(context, reason, may_fork)


def _preload(context: Any) -> None:
    """Have a fork server import what every worker needs, once; it keeps what else it was told."""
    if context.get_start_method() == "forkserver":
        from multiprocessing import forkserver  # noqa: PLC0415 - where there are fork servers

        told = getattr(forkserver._forkserver, "_preload_modules", [])
        context.set_forkserver_preload([*told, *(name for name in _PRELOAD if name not in told)])


@contextlib.contextmanager
def without_main() -> Iterator[None]:
    """Keep new processes from running the user's script again: what is in it travels by value."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def pickled(setup: Any, reason: str) -> bytes:
    """Pickle what workers need; the error names the part that cannot be.

    Raises what pickling raises: TypeError, AttributeError or PicklingError.
    """
    import cloudpickle  # noqa: PLC0415 - only workers that are not forked need it

    try:
        return bytes(cloudpickle.dumps(setup))
    except Exception as error:  # whatever a user's object raises: told again with its place
        path = unpicklable_path(setup, cloudpickle.dumps)
        hint = (
            f"{error}: DataLoader workers are sent the dataset by pickle, as {reason}, and "
            f"{path} cannot be pickled. Make it in the worker (worker_init_fn, or at first use), "
            "leave it out in __getstate__, or use multiprocessing_context='fork'"
        )
        try:
            named = type(error)(hint)
        except Exception:  # not every class takes one text
            named = TypeError(hint)
        raise named from error


def unpicklable_path(setup: Any, dumps: Any) -> str:
    """Where in a loader's parts the smallest thing is that `dumps` refuses: ``dataset.a[0].b``."""
    for name in ("dataset", "collate_fn", "worker_init_fn"):
        value = getattr(setup, name)
        if not _can(dumps, value):
            return _deepest(value, name, dumps, set())
    return "a part of it"


def _deepest(value: Any, path: str, dumps: Any, seen: set[int]) -> str:
    if id(value) in seen or len(seen) > 1000 or path.count(".") > _MAX_DEPTH:
        return f"{path} ({type(value).__name__})"
    seen.add(id(value))
    for name, part in _parts(value):
        if not _can(dumps, part):
            return _deepest(part, path + name, dumps, seen)
    return f"{path} ({type(value).__name__})"


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f"[{k!r}]", v) for k, v in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{i}]", v) for i, v in enumerate(value))
    elif isinstance(value, types.FunctionType):
        names = value.__code__.co_freevars
        for name, cell in zip(names, value.__closure__ or (), strict=False):
            with contextlib.suppress(ValueError):  # an empty cell
                yield f".<{name}>", cell.cell_contents
    elif isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
    else:
        yield from ((f".{k}", v) for k, v in getattr(value, "__dict__", {}).items())


def _can(dumps: Any, value: Any) -> bool:
    try:
        dumps(value)
    except Exception:  # a user's object may refuse in any way
        return False
    return True
