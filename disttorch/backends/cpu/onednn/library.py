"""The shared library: where it is, the calls used from it, and its errors as exceptions."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

from disttorch.backends.cpu.jit.switch import setting
from disttorch.backends.cpu.threads import get_num_threads, load_openmp_library

_WHEELS = ("onednn-cpu-gomp", "onednn-cpu-iomp", "onednn")
_MAJOR = 3
_CPU, _IN_ORDER = 1, 1

_Pointer = ctypes.c_void_p
_Dims = ctypes.c_int64 * 12


class _Version(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int),
        ("hash", ctypes.c_char_p), ("cpu_runtime", ctypes.c_uint), ("gpu_runtime", ctypes.c_uint),
    ]  # fmt: skip


class OneDNNError(Exception):
    """A call of oneDNN failed; the caller computes with NumPy instead."""


def dims(values: Any) -> Any:
    """A tuple of integers as oneDNN takes it."""
    return _Dims(*values)


class Library:
    """The library and one engine; streams belong to threads."""

    def __init__(self, path: str) -> None:
        self._lib = load_openmp_library(path)
        self._lib.dnnl_version.restype = ctypes.POINTER(_Version)
        version = self._lib.dnnl_version().contents
        self.version = f"{version.major}.{version.minor}.{version.patch}"
        if version.major != _MAJOR:
            raise OneDNNError(f"version {self.version} is not {_MAJOR}.x")
        self.path = path
        self._set_threads = getattr(self._lib, "omp_set_num_threads", None)
        self._own = threading.local()
        self.engine = self.make("engine_create", ctypes.c_int(_CPU), ctypes.c_size_t(0))

    def call(self, name: str, *args: Any) -> None:
        """Call ``dnnl_<name>``; OneDNNError unless it reports success."""
        status = getattr(self._lib, f"dnnl_{name}")(*args)
        if status:
            raise OneDNNError(f"dnnl_{name} returned {status}")

    def make(self, name: str, *args: Any) -> Any:
        """Call ``dnnl_<name>`` for the object that its first argument receives."""
        handle = _Pointer()
        self.call(name, ctypes.byref(handle), *args)
        return handle

    def query(self, descriptor: Any, what: int) -> Any:
        """Return the memory descriptor that a primitive descriptor gives for `what`."""
        function = self._lib.dnnl_primitive_desc_query_md
        function.restype = _Pointer
        found = function(descriptor, what, 0)
        return _Pointer(found)

    def equal(self, a: Any, b: Any) -> bool:
        """Whether two memory descriptors are the same."""
        return bool(self._lib.dnnl_memory_desc_equal(a, b))

    def nbytes(self, descriptor: Any) -> int:
        """Return the size of the memory a descriptor describes."""
        function = self._lib.dnnl_memory_desc_get_size
        function.restype = ctypes.c_size_t
        return int(function(descriptor))

    def ready(self) -> Any:
        """Set the number of threads for what this thread executes next; return its stream."""
        n = get_num_threads()
        if self._set_threads is not None and getattr(self._own, "n", None) != n:
            self._set_threads(ctypes.c_int(n))
            self._own.n = n
        stream = getattr(self._own, "stream", None)
        if stream is None:
            stream = self.make("stream_create", self.engine, ctypes.c_uint(_IN_ORDER))
            self._own.stream = stream
        _Process.has_computed = True
        return stream


class _Process:
    """Whether OpenMP's threads have been at work here: a forked process could not use them."""

    has_computed = False
    unusable = False


def _note_fork() -> None:
    _Process.unusable = _Process.unusable or _Process.has_computed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def _candidates() -> Iterator[str]:
    """Paths where the library may be: a wheel's files, then what the system finds."""
    import importlib.metadata  # noqa: PLC0415 - slow, and only for the first large convolution

    for wheel in _WHEELS:
        try:
            files = importlib.metadata.files(wheel) or ()
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name == f"libdnnl.so.{_MAJOR}":
                yield str(file.locate())
    yield f"libdnnl.so.{_MAJOR}"


@cache
def _load() -> tuple[Library | None, str]:
    """The library, or why there is none."""
    if setting() == "off":
        return None, "switched off by DISTTORCH_FAST=0"
    reason = "not installed"
    for path in _candidates():
        try:
            return Library(path), ""
        except (OSError, OneDNNError, AttributeError) as error:
            reason = str(error)
    return None, reason


def library() -> Library | None:
    """Return the library if it can be used in this process."""
    return None if _Process.unusable else _load()[0]


def description() -> str:
    """Return the version in use, or why there is none."""
    found, reason = _load()
    return reason if found is None else f"oneDNN {found.version} ({found.path})"
