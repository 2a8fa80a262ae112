"""Recorded events, their averages, and the table of them. Times are in microseconds, as PyTorch's.

A duration's own part ("self") is what remains without the events that lie inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

_HEADERS = ("Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg")
_COSTS = ("time_total", "memory_usage")
_MEMORY_HEADERS = ("CPU Mem", "Self CPU Mem")
_SUMMED = tuple(f"{own}cpu_{what}" for own in ("", "self_") for what in _COSTS)
_SORTABLE = {
    "count", "cpu_time", "cpu_time_total", "self_cpu_time_total", "self_cpu_time", "key", "name",
    "cpu_memory_usage", "self_cpu_memory_usage",
}  # fmt: skip


@dataclass
class FunctionEvent:
    """One operator, block, collective or wait for data; `thread` names where it ran.

    `cpu_memory_usage` is the bytes of its results that are no views of its arguments.
    """

    name: str
    start_ns: int
    end_ns: int
    thread: int
    category: str = "cpu_op"
    input_shapes: tuple[tuple[int, ...], ...] = ()
    children_ns: int = 0
    cpu_memory_usage: int = 0
    children_memory: int = 0

    @property
    def self_cpu_memory_usage(self) -> int:
        """Memory without that of inner events, in bytes."""
        return self.cpu_memory_usage - self.children_memory

    @property
    def key(self) -> str:
        """The name, by which events are averaged."""
        return self.name

    @property
    def cpu_time_total(self) -> float:
        """Duration in microseconds."""
        return (self.end_ns - self.start_ns) / 1000

    @property
    def self_cpu_time_total(self) -> float:
        """Duration without that of inner events, in microseconds."""
        return max(0.0, self.cpu_time_total - self.children_ns / 1000)


@dataclass
class FunctionEventAvg:
    """All events of one name (and, if asked for, input shapes)."""

    key: str
    input_shapes: tuple[tuple[int, ...], ...] = ()
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    device_time_total: float = 0.0
    self_device_time_total: float = 0.0
    cpu_memory_usage: int = 0
    self_cpu_memory_usage: int = 0
    is_user_annotation: bool = field(default=False)

    @property
    def cpu_time(self) -> float:
        """Mean duration in microseconds."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def add(self, event: FunctionEvent) -> None:
        """Take one more event in."""
        self.count += 1
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(event, name))


class EventList(list[Any]):
    """Events, or averages of them; with `profile_memory`, their table has columns for it."""

    def __init__(self, events: Iterable[Any] = (), *, profile_memory: bool = False) -> None:
        super().__init__(events)
        self.profile_memory = profile_memory

    @property
    def self_cpu_time_total(self) -> float:
        """Sum of all own times, in microseconds."""
        return sum(event.self_cpu_time_total for event in self)

    def total_average(self) -> FunctionEventAvg:
        """One average over all."""
        total = FunctionEventAvg("Total")
        for event in self:
            total.add(event)
            total.count += getattr(event, "count", 1) - 1
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
    ) -> str:
        """The averages as text, the largest `sort_by` first; at most `row_limit` rows (-1: all)."""
        if not self:
            return ""
        events = self._sorted(sort_by)[: None if row_limit < 0 else row_limit]
        memory = self.profile_memory
        titles = [*_HEADERS, *(_MEMORY_HEADERS if memory else ()), "# of Calls"]
        shapes = any(getattr(event, "input_shapes", ()) for event in events)
        titles += ["Input Shapes"] if shapes else []
        total = self.self_cpu_time_total
        widths = max_name_column_width, max_shapes_column_width
        cells = [_cells(e, total, widths, shapes=shapes, memory=memory) for e in events]
        return _drawn(titles, cells, header, total)

    def _sorted(self, sort_by: str | None) -> list[Any]:
        if sort_by is None:
            return list(self)
        name = sort_by.replace("cuda", "cpu").replace("device", "cpu")
        if name not in _SORTABLE:
            raise AttributeError(f"events cannot be sorted by {sort_by!r}; one of {_SORTABLE}")
        name = {"self_cpu_time": "self_cpu_time_total", "name": "key"}.get(name, name)
        return sorted(self, key=lambda event: getattr(event, name), reverse=name != "key")

    def __str__(self) -> str:
        return self.table()


def averages(
    events: Iterable[FunctionEvent], *, by_shape: bool, profile_memory: bool = False
) -> EventList:
    """The events of each name taken together."""
    found: dict[tuple[Any, ...], FunctionEventAvg] = {}
    for event in events:
        shapes = event.input_shapes if by_shape else ()
        key = (event.key, shapes)
        if key not in found:
            annotation = event.category == "user_annotation"
            found[key] = FunctionEventAvg(event.key, shapes, is_user_annotation=annotation)
        found[key].add(event)
    return EventList(found.values(), profile_memory=profile_memory)


def nested(events: Iterable[FunctionEvent]) -> list[FunctionEvent]:
    """The events in order of their start, each with the time of those directly inside it."""
    ordered = sorted(events, key=lambda e: (e.thread, e.start_ns, -e.end_ns))
    around: list[FunctionEvent] = []
    for event in ordered:
        event.children_ns = event.children_memory = 0
        while around and (around[-1].thread != event.thread or around[-1].end_ns < event.end_ns):
            around.pop()
        if around:
            around[-1].children_ns += event.end_ns - event.start_ns
            around[-1].children_memory += event.cpu_memory_usage
        around.append(event)
    return sorted(ordered, key=lambda e: e.start_ns)


def microseconds(us: float) -> str:
    """A duration as PyTorch's tables show it: us, ms or s."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if us >= size:
            return f"{us / size:.3f}{unit}"
    return f"{us:.3f}us"


def memory_text(nbytes: int) -> str:
    """A number of bytes as PyTorch's tables show it: B, KB, MB or GB."""
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(nbytes) >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{nbytes} B"


def _cells(
    event: Any, total: float, widths: tuple[int, int], *, shapes: bool, memory: bool
) -> list[str]:
    def share(us: float) -> str:
        return f"{100 * us / total:.2f}%" if total else "0.00%"

    row = [
        _cut(event.key, widths[0]),
        share(event.self_cpu_time_total),
        microseconds(event.self_cpu_time_total),
        share(event.cpu_time_total),
        microseconds(event.cpu_time_total),
        microseconds(getattr(event, "cpu_time", event.cpu_time_total)),
    ]
    if memory:
        row += [memory_text(event.cpu_memory_usage), memory_text(event.self_cpu_memory_usage)]
    row.append(str(getattr(event, "count", 1)))
    dims = [list(s) for s in event.input_shapes] if shapes else []
    return [*row, _cut(str(dims), widths[1])] if shapes else row


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _drawn(
    titles: Sequence[str], rows: Sequence[Sequence[str]], header: str | None, total: float
) -> str:
    widths = [max(len(row[i]) for row in [titles, *rows]) for i in range(len(titles))]
    rule = "  ".join("-" * width for width in widths)
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    head = "  ".join(title.rjust(w) for title, w in zip(titles, widths, strict=True))
    title = [header] if header else []
    end = f"Self CPU time total: {microseconds(total)}"
    return "\n".join([*title, rule, head, rule, *lines, rule, end, ""])
