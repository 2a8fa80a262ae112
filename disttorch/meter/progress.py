"""A progress bar in one line of text, for the terminal behind a rank's pipe too."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import IO, TypeVar

T = TypeVar("T")

_REDRAW_S = 0.1
_BAR_COLUMNS = 24


def progress(
    items: Iterable[T],
    label: str = "",
    *,
    total: int | None = None,
    note: Callable[[], str] | None = None,
    show: bool | None = None,
    file: IO[str] | None = None,
) -> Iterator[T]:
    """Yield `items` and show how many of `total` have gone by, how fast, and `note()`.

    Drawn by rank 0 only, unless `show` says otherwise. On a terminal and under the launcher the
    line is redrawn in place; otherwise only the finished line is written.
    """
    stream = sys.stderr if file is None else file
    shown = os.environ.get("RANK", "0") == "0" if show is None else show
    if not shown:
        yield from items
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    # The launcher reads carriage returns as a terminal does, so its ranks may always redraw.
    live = stream.isatty() or "DISTTORCH_RUN_DIR" in os.environ
    start_s = drawn_s = time.monotonic()
    n_done = n_columns = 0

    def draw(end: str) -> None:
        nonlocal n_columns
        text = bar_text(label, n_done, total, time.monotonic() - start_s, note)
        # What is left of a longer line before is blanked.
        stream.write(("\r" + text.ljust(n_columns) if live else text) + end)
        stream.flush()
        n_columns = len(text)

    try:
        for item in items:
            yield item
            n_done += 1
            now_s = time.monotonic()
            if live and now_s - drawn_s >= _REDRAW_S:
                drawn_s = now_s
                draw("")
    finally:  # also when the loop is left early: what follows starts on a line of its own
        draw("\n")


def bar_text(
    label: str, n_done: int, total: int | None, elapsed_s: float, note: Callable[[], str] | None
) -> str:
    """One line: label, bar, count, rate and note."""
    rate = f"{n_done / elapsed_s:.1f}/s" if elapsed_s > 0 else "-"
    tail = f"  {note()}" if note is not None else ""
    if not total:
        return f"{label} {n_done} [{rate}]{tail}"
    filled = _BAR_COLUMNS * min(n_done, total) // total
    bar = "#" * filled + "-" * (_BAR_COLUMNS - filled)
    return f"{label} |{bar}| {n_done}/{total} [{rate}]{tail}"
