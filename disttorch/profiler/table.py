"""Events, or averages of them, as PyTorch's table. Times are in microseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_TIMES = ("Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg")
_MEMORY = ("CPU Mem", "Self CPU Mem")
_WIDTH = 12
_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}


def drawn(
    events: Sequence[Any],
    *,
    row_limit: int,
    name_width: int | None,
    shapes_width: int | None,
    header: str | None,
    memory: bool,
    top_level_only: bool,
    time_unit: str | None,
) -> str:
    """The table of all `events`, with the first `row_limit` of them (-1: all) as rows."""
    has_shapes = any(event.input_shapes for event in events)
    titles = ["Name", *_TIMES, *(_MEMORY if memory else ()), "# of Calls"]
    widths = [_fit((e.key for e in events), name_width), *[_WIDTH] * (len(titles) - 1)]
    if has_shapes:
        titles.append("Input Shapes")
        widths.append(_fit((str(e.input_shapes) for e in events), shapes_width))
    total = sum(event.self_cpu_time_total for event in events)
    shown = [e for e in events if not (top_level_only and e.cpu_parent is not None)]
    rows = []
    for event in shown[: None if row_limit < 0 else row_limit]:
        row = [_cut(event.key, name_width), *_times(event, total, time_unit)]
        if memory:
            row += [memory_text(event.cpu_memory_usage), memory_text(event.self_cpu_memory_usage)]
        row.append(str(event.count))
        rows.append([*row, str(event.input_shapes)[: widths[-1]]] if has_shapes else row)
    rule = "".join("-" * width + "  " for width in widths)
    line = "=" * (len(rule) - 2)
    above = [line, header] if header is not None else []
    above += [line, "This report only display top-level ops statistics"] if top_level_only else []
    end = f"Self CPU time total: {microseconds(total, time_unit)}"
    cells = [_line(row, widths) for row in rows]
    return "\n".join([*above, rule, _line(titles, widths), rule, *cells, rule, end, ""])


def microseconds(us: float, unit: str | None = None) -> str:
    """A duration as PyTorch's tables show it: in a `unit`, or the largest of which it has one."""
    if unit not in _UNITS:
        unit = next((name for name, size in _UNITS.items() if us >= size), "us")
    return f"{us / _UNITS[unit]:.3f}{unit}"


def memory_text(nbytes: int) -> str:
    """A number of bytes as PyTorch's tables show it: B, KB, MB or GB."""
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(nbytes) >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{nbytes} B"


def _times(event: Any, total: float, unit: str | None) -> list[str]:
    own, whole = event.self_cpu_time_total, event.cpu_time_total
    return [
        *(_share(own, total), microseconds(own, unit)),
        *(_share(whole, total), microseconds(whole, unit), microseconds(event.cpu_time, unit)),
    ]


def _share(us: float, total: float) -> str:
    return f"{100 * us / total:.2f}%" if total else "NaN"


def _fit(texts: Any, most: int | None) -> int:
    width = max(map(len, texts)) + 4
    return width if most is None else min(width, most)


def _cut(text: str, width: int | None) -> str:
    return text if width is None or len(text) < width - 3 else text[: width - 3] + "..."


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{cell:>{width}}  " for cell, width in zip(cells, widths, strict=True))
