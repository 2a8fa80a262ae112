"""Which line of the user's program called into disttorch."""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
# Below the library's folder, and written by others.
_INSTALLED = ("site-packages", "dist-packages")
_inside: dict[str, bool] = {}

CallSite = tuple[str, int, int]


def user_frame() -> FrameType | None:
    """The innermost frame whose file is part neither of disttorch nor of Python's own library.

    Where there is none, as in a thread whose target is a collective, the library's innermost.
    """
    frame: FrameType | None = sys._getframe(1)
    fallback = None
    while frame is not None:
        filename = frame.f_code.co_filename
        inside = _inside.get(filename)
        if inside is None:
            inside = _inside[filename] = filename.startswith(_PACKAGE) or _is_library(filename)
        if not inside:
            return frame
        if fallback is None and not filename.startswith(_PACKAGE):
            fallback = frame
        frame = frame.f_back
    return fallback


def _is_library(filename: str) -> bool:
    if not filename.startswith(_LIBRARY):
        return False
    return not filename[len(_LIBRARY) :].startswith(_INSTALLED)


def describe(frame: FrameType | None) -> str:
    """`file:line` of a frame, the file relative to the working directory where that is shorter.

    Of Python's own library its thread is named instead of the folder.
    """
    if frame is None:
        return "unknown"
    filename = frame.f_code.co_filename
    if _is_library(filename):
        name = threading.current_thread().name
        return f"{os.path.basename(filename)}:{frame.f_lineno} in thread {name}"
    try:
        relative = os.path.relpath(filename) if os.path.isabs(filename) else filename
    except FileNotFoundError:  # the working directory has been removed
        relative = filename
    return f"{min(filename, relative, key=len)}:{frame.f_lineno}"
