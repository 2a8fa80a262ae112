"""The error file: how a rank tells the launcher which exception ended its script.

JSON in the file named by TORCHELASTIC_ERROR_FILE, written whole under another name and renamed, so
that a reader never sees half of it.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType

from disttorch_launcher.outcome import ErrorRecord

# Enough for any traceback worth reading; a message may quote a whole tensor.
MAX_TEXT_CHARS = 100_000
LAUNCHER_FOLDER = os.path.dirname(os.path.abspath(__file__))
RUNPY = (
    "<frozen runpy>",
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
)


def write_error(path: str, rank: int, error: BaseException) -> bool:
    """Write the record of `error` to `path`; False if that was not possible."""
    try:
        content = {"rank": rank, **_describe(error)}
        Path(f"{path}.new").write_text(json.dumps(content), encoding="utf-8")
        os.replace(f"{path}.new", path)
    except Exception:  # the disk is full, or a user's exception answers nothing without another
        return False
    return True


def read_error(path: str) -> ErrorRecord | None:
    """The record in `path`; None if there is none or it is damaged."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return ErrorRecord(
            at_ns=int(content["monotonic_ns"]),
            type_name=str(content["type"]),
            message=str(content["message"]),
            traceback=str(content["traceback"]),
            location=str(content["location"]),
            consequence=bool(content["consequence"]),
            ranks=tuple(int(rank) for rank in content["ranks"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def user_traceback(error: BaseException) -> TracebackType | None:
    """The traceback of `error` from the user's first frame on, without ours and runpy's above."""
    tb = error.__traceback__
    while tb is not None and _is_machinery(tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    return tb


def _describe(error: BaseException) -> dict[str, object]:
    tb = user_traceback(error)
    # Without a line of the user's (a syntax error, an unknown module) only the message is theirs.
    whole = traceback.format_exception(type(error), error, tb)
    lines = whole if tb else traceback.format_exception_only(error)
    ranks = getattr(error, "ranks", ())
    return {
        "monotonic_ns": time.monotonic_ns(),
        "type": _type_name(type(error)),
        "message": _message(error)[:MAX_TEXT_CHARS],
        "traceback": "".join(lines)[-MAX_TEXT_CHARS:],
        "location": _location(tb),
        "consequence": bool(getattr(error, "is_consequence", False)),
        "ranks": [r for r in ranks if isinstance(r, int)] if isinstance(ranks, tuple) else [],
    }


def _type_name(kind: type[BaseException]) -> str:
    """The name as a traceback prints it: bare for built-in and `__main__` exceptions."""
    bare = kind.__module__ in ("builtins", "__main__")
    return kind.__qualname__ if bare else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # a user's __str__ may do anything
        return f"<message not available: {broken!r}>"


def _location(tb: TracebackType | None) -> str:
    """`train.py:12`: the innermost line that is not inside disttorch; "" without a traceback."""
    library = getattr(sys.modules.get("disttorch"), "__path__", [])
    folders = tuple(os.path.join(folder, "") for folder in library)
    found = ""
    while tb is not None:
        path = tb.tb_frame.f_code.co_filename
        if not (folders and path.startswith(folders)):
            found = f"{os.path.basename(path)}:{tb.tb_lineno}"
        tb = tb.tb_next
    return found


def _is_machinery(path: str) -> bool:
    return path in RUNPY or os.path.dirname(path) == LAUNCHER_FOLDER
