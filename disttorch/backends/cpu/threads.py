"""How many threads a large operation may use: one setting for OpenBLAS, oneDNN and our own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_PREFIXES = ("scipy_openblas_", "openblas_")
_SUFFIXES = ("64_", "")
# How long an idle thread spins before it sleeps. OpenBLAS: 2^22 ticks, some 1.7 ms, where it has
# 2^26, 27 ms, by itself. OpenMP: rounds of a loop, some 0.5 ms. Measured on two cores: LeNet's
# step, in which both libraries take turns, took 44 ms with 2^26, 29 with 2^24, 23 with 2^22 and 24
# with 2^20; an MLP's of 1.5 ms 2.4 ms with 2^20, whose threads fall asleep between its products.
_OPENBLAS_WAIT = ("OPENBLAS_THREAD_TIMEOUT", "22")
_OPENMP_WAIT = ("GOMP_SPINCOUNT", "30000")


@cache
def _openblas() -> tuple[Any, Any] | None:
    """The get and set functions of the OpenBLAS in NumPy's wheel, None for another BLAS."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for path in sorted(folder.glob("*openblas*")):
        library = ctypes.CDLL(str(path))
        for prefix in _PREFIXES:
            for suffix in _SUFFIXES:
                try:
                    getter = getattr(library, f"{prefix}get_num_threads{suffix}")
                    setter = getattr(library, f"{prefix}set_num_threads{suffix}")
                except AttributeError:
                    continue
                _let_sleep(library)
                return getter, setter
    return None


def _let_sleep(openblas: Any) -> None:
    """Have OpenBLAS start its threads anew with a shorter wait.

    Only where it has the calls, as it does before a fork, and where nobody can be computing.
    """
    names = ("openblas_read_env", "blas_thread_shutdown_", "blas_thread_init")
    if not all(hasattr(openblas, name) for name in names) or _OPENBLAS_WAIT[0] in os.environ:
        return
    if threading.active_count() == 1:
        with environment(*_OPENBLAS_WAIT):
            openblas.openblas_read_env()
        openblas.blas_thread_shutdown_()  # the next threaded call starts them


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set a variable for a library that is loaded or asked inside, unless it is set already."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def load_openmp_library(path: str) -> Any:
    """Load a library that brings OpenMP's threads, which are to sleep soon when they are idle."""
    if "OMP_WAIT_POLICY" in os.environ:
        return ctypes.CDLL(path)
    with environment(*_OPENMP_WAIT):
        return ctypes.CDLL(path)


class _Setting:
    """What `set_num_threads` was given; None: what OpenBLAS found in the environment."""

    n: int | None = None


def get_num_threads() -> int:
    """Return the number of threads a large operation may use."""
    if _Setting.n is None:
        functions = _openblas()
        _Setting.n = int(functions[0]()) if functions else usable_cores()
    return _Setting.n


def set_num_threads(n: int) -> None:
    """Set the number of threads a large operation may use; RuntimeError unless positive."""
    if not isinstance(n, int) or n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    functions = _openblas()
    if functions:
        functions[1](n)
    _Setting.n = n


class _Alone:
    """How many callers share work by threads of our own now, so that BLAS must not."""

    n = 0
    lock = threading.Lock()


@contextlib.contextmanager
def blas_alone() -> Iterator[None]:
    """Have BLAS compute each product in the thread that asks for it; may be nested and shared."""
    functions = _openblas()
    if functions is None:
        yield
        return
    with _Alone.lock:
        _Alone.n += 1
        if _Alone.n == 1:
            functions[1](1)
    try:
        yield
    finally:
        with _Alone.lock:
            _Alone.n -= 1
            if not _Alone.n:
                functions[1](get_num_threads())


def _let_go() -> None:
    """A process that was forked inside of `blas_alone` starts anew, with the threads set."""
    _Alone.lock = threading.Lock()
    if _Alone.n:
        _Alone.n = 0
        functions = _openblas()
        if functions:
            functions[1](get_num_threads())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def usable_cores() -> int:
    """Return the number of cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
