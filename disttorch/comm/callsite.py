"""Which line of the user's program called into disttorch."""

from __future__ import annotations

import os
import sys
from types import FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_inside: dict[str, bool] = {}

CallSite = tuple[str, int, int]


def user_frame() -> FrameType | None:
    """The innermost frame whose file is not part of disttorch."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        inside = _inside.get(filename)
        if inside is None:
            inside = _inside[filename] = filename.startswith(_PACKAGE)
        if not inside:
            return frame
        frame = frame.f_back
    return None


def describe(frame: FrameType | None) -> str:
    """`file:line` of a frame, the file relative to the working directory where that is shorter."""
    if frame is None:
        return "unknown"
    filename = frame.f_code.co_filename
    try:
        relative = os.path.relpath(filename) if os.path.isabs(filename) else filename
    except FileNotFoundError:  # the working directory has been removed
        relative = filename
    return f"{min(filename, relative, key=len)}:{frame.f_lineno}"
