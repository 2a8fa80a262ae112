"""Recorded events, their averages, and the table of them. Times are in microseconds, as PyTorch's.

A duration's own part ("self") is what remains without the events that lie inside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, NamedTuple

from disttorch.profiler.table import drawn, microseconds

_COSTS = ("time_total", "memory_usage")
_SUMMED = tuple(f"{own}cpu_{what}" for own in ("", "self_") for what in _COSTS)
_SORTABLE = {
    "count", "cpu_time", "cpu_time_total", "self_cpu_time_total", "self_cpu_time", "key", "name",
    "cpu_memory_usage", "self_cpu_memory_usage",
}  # fmt: skip


class DeviceType(Enum):
    """Where an event ran, by PyTorch's numbers."""

    CPU = 0
    CUDA = 1


class Interval(NamedTuple):
    """When an event began and ended, in microseconds."""

    start: float
    end: float

    def elapsed_us(self) -> float:
        """Return the length in microseconds."""
        return self.end - self.start


def _text_of(name: str) -> Any:
    """The property that says a time as a text."""
    return property(lambda event: microseconds(getattr(event, name)), doc=f"`{name}` as a text.")


class _Described:
    """What is the same for all events here; nothing is known of devices apart from their calls."""

    device_type: ClassVar[DeviceType] = DeviceType.CPU
    node_id: ClassVar[int] = -1
    use_device: ClassVar[str | None] = None
    is_async: ClassVar[bool] = False
    is_remote: ClassVar[bool] = False
    is_legacy: ClassVar[bool] = False
    overload_name: ClassVar[str] = ""
    scope: ClassVar[int] = 0
    flops: ClassVar[int] = 0
    stack: ClassVar[tuple[str, ...]] = ()
    device_time: ClassVar[float] = 0.0
    device_time_total: ClassVar[float] = 0.0
    self_device_time_total: ClassVar[float] = 0.0
    device_memory_usage: ClassVar[int] = 0
    self_device_memory_usage: ClassVar[int] = 0
    cpu_time_str = _text_of("cpu_time")
    cpu_time_total_str = _text_of("cpu_time_total")
    self_cpu_time_total_str = _text_of("self_cpu_time_total")
    device_time_str = _text_of("device_time")
    device_time_total_str = _text_of("device_time_total")
    self_device_time_total_str = _text_of("self_device_time_total")


@dataclass
class FunctionEvent(_Described):
    """One operator, block, collective or wait for data; `thread` names where it ran.

    `cpu_memory_usage` is the bytes of its results that are no views of its arguments.
    `cpu_parent` is the event around it, `cpu_children` are those directly inside.
    """

    name: str
    start_ns: int
    end_ns: int
    thread: int
    category: str = "cpu_op"
    input_shapes: list[list[int]] = field(default_factory=list)
    children_ns: int = 0
    cpu_memory_usage: int = 0
    children_memory: int = 0
    cpu_parent: FunctionEvent | None = field(default=None, repr=False, compare=False)
    cpu_children: list[FunctionEvent] = field(default_factory=list, repr=False, compare=False)
    count: ClassVar[int] = 1

    @property
    def time_range(self) -> Interval:
        """When it began and ended, in microseconds."""
        return Interval(self.start_ns / 1000, self.end_ns / 1000)

    @property
    def is_user_annotation(self) -> bool:
        """Whether the program named it, with `record_function`."""
        return self.category == "user_annotation"

    @property
    def cpu_time(self) -> float:
        """Duration in microseconds, as that of averages."""
        return self.cpu_time_total

    @property
    def self_cpu_memory_usage(self) -> int:
        """Memory without that of inner events, in bytes."""
        return self.cpu_memory_usage - self.children_memory

    @property
    def key(self) -> str:
        """The name, by which events are averaged; the same for all steps."""
        return "ProfilerStep*" if self.name.startswith("ProfilerStep#") else self.name

    @property
    def cpu_time_total(self) -> float:
        """Duration in microseconds."""
        return (self.end_ns - self.start_ns) / 1000

    @property
    def self_cpu_time_total(self) -> float:
        """Duration without that of inner events, in microseconds."""
        return max(0.0, self.cpu_time_total - self.children_ns / 1000)


@dataclass
class FunctionEventAvg(_Described):
    """All events of one name (and, if asked for, input shapes).

    `cpu_parent` and `cpu_children` are those of the first.
    """

    key: str
    input_shapes: list[list[int]] = field(default_factory=list)
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    cpu_memory_usage: int = 0
    self_cpu_memory_usage: int = 0
    is_user_annotation: bool = False
    cpu_parent: FunctionEvent | None = field(default=None, repr=False, compare=False)
    cpu_children: list[FunctionEvent] = field(default_factory=list, repr=False, compare=False)

    @property
    def cpu_time(self) -> float:
        """Mean duration in microseconds."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def add(self, event: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        """Take in one more event, or all of another average."""
        self.count += event.count
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(event, name))
        return self

    __iadd__ = add


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
        return total

    def key_averages(
        self,
        group_by_input_shapes: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """The events averaged by name, and by input shapes if asked for."""
        return averages(self, by_shape=group_by_input_shapes, profile_memory=self.profile_memory)

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int | None = 75,
        max_name_column_width: int | None = 55,
        max_shapes_column_width: int | None = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The events as text, the largest `sort_by` first; at most `row_limit` rows (-1: all).

        Times are in the `time_unit` ("s", "ms", "us"), or in what fits each.
        """
        if not self:
            return ""
        return drawn(
            self._sorted(sort_by),
            row_limit=row_limit,
            name_width=max_name_column_width,
            shapes_width=max_shapes_column_width,
            header=header,
            memory=self.profile_memory,
            top_level_only=top_level_events_only,
            time_unit=time_unit,
        )

    def export_chrome_trace(self, path: str) -> None:
        """Write the events for chrome://tracing, without what a profile knows besides."""
        shown = [
            {
                "name": event.name,
                "ph": "X",
                "ts": event.time_range.start,
                "dur": event.time_range.elapsed_us(),
                "tid": event.thread,
                "pid": "CPU functions",
                "args": {},
            }
            for event in self
        ]
        with open(path, "w") as file:
            json.dump(shown, file)

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
        shapes = event.input_shapes if by_shape else []
        key = (event.key, event.is_user_annotation, str(shapes))
        if key not in found:
            found[key] = FunctionEventAvg(event.key, shapes)
            found[key].is_user_annotation = event.is_user_annotation
            found[key].cpu_parent, found[key].cpu_children = event.cpu_parent, event.cpu_children
        found[key].add(event)
    return EventList(found.values(), profile_memory=profile_memory)


def nested(events: Iterable[FunctionEvent]) -> list[FunctionEvent]:
    """The events in order of their start, each with the time of those directly inside it."""
    ordered = sorted(events, key=lambda e: (e.thread, e.start_ns, -e.end_ns))
    around: list[FunctionEvent] = []
    for event in ordered:
        event.children_ns = event.children_memory = 0
        event.cpu_parent, event.cpu_children = None, []
        while around and (around[-1].thread != event.thread or around[-1].end_ns < event.end_ns):
            around.pop()
        if around:
            around[-1].children_ns += event.end_ns - event.start_ns
            around[-1].children_memory += event.cpu_memory_usage
            around[-1].cpu_children.append(event)
            event.cpu_parent = around[-1]
        around.append(event)
    return sorted(ordered, key=lambda e: e.start_ns)
