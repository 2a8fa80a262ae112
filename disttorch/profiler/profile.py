"""`profile`: records some steps of a program, and what to do with what was recorded."""

from __future__ import annotations

import gzip
import json
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterable
from enum import Enum
from types import TracebackType
from typing import Any

from disttorch.profiler.events import EventList, FunctionEvent, averages, nested
from disttorch.profiler.recorder import (
    COLLECTIVES_THREAD,
    DATA_THREAD,
    Recorder,
    record_function,
)
from disttorch.profiler.schedules import ProfilerAction

_TRACKS = {COLLECTIVES_THREAD: "collectives", DATA_THREAD: "data"}
_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
# What a schedule should not go on with: what was recorded is of no cycle.
_CUTS_OFF = {
    ProfilerAction.WARMUP: (ProfilerAction.NONE,),
    ProfilerAction.RECORD: (ProfilerAction.NONE, ProfilerAction.WARMUP),
}


class ProfilerActivity(Enum):
    """Groups of events. Those of devices are recorded with the calls that start them."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


def supported_activities() -> set[ProfilerActivity]:
    """Return the activities that are recorded here."""
    return {ProfilerActivity.CPU}


def kineto_available() -> bool:
    """Whether PyTorch's native profiler is there: no, and none is needed."""
    return False


def _always(_: int) -> ProfilerAction:
    return ProfilerAction.RECORD


class profile:
    """Records operators, named blocks and collectives while it is entered; PyTorch's arguments.

    With a `schedule`, call `step` at the end of each step; `on_trace_ready(profile)` is called
    after each cycle, else at the end. `profile_memory` adds what operators allocate for their
    results, and the process's memory as a counter of the trace. Each cycle's events replace those
    of the one before, unless `acc_events`. Options for stacks and modules are accepted, and record
    nothing.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity | dict[ProfilerActivity, list[str]]] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[..., Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Callable[[], str] | None = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        self.activities = supported_activities() if activities is None else _flat(activities)
        if use_cuda is not None:
            text = "`use_cuda` is deprecated, use `activities` argument instead"
            warnings.warn(text, FutureWarning, stacklevel=2)
            change = self.activities.add if use_cuda else self.activities.discard
            change(ProfilerActivity.CUDA)
        if not self.activities:
            raise AssertionError("No valid profiler activities found")
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.acc_events = acc_events
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self.current_action = ProfilerAction.NONE
        self._schedule = schedule or _always
        self._has_schedule = schedule is not None
        self._recorder: Recorder | None = None
        self._events: list[FunctionEvent] | None = None
        self._resident: list[tuple[int, int]] = []
        self._step_block: record_function | None = None
        self._metadata: dict[str, str] = {}

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with step 0."""
        self.current_action = self._schedule(self.step_num)
        self._enter_step()

    def stop(self) -> None:
        """End; what was recorded of an unfinished cycle is handed over too."""
        self._leave_step()
        if self._collect() and self.on_trace_ready:
            self.on_trace_ready(self)
        self.current_action = ProfilerAction.NONE

    def step(self) -> None:
        """Say that a step of the program has ended and the next begins."""
        self._leave_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self._schedule(self.step_num)
        if before is ProfilerAction.RECORD_AND_SAVE:
            self._collect()
            if self.on_trace_ready:
                self.on_trace_ready(self)
        elif self.current_action in _CUTS_OFF.get(before, ()):
            warnings.warn(
                f"Incorrect schedule: {before.name} followed by {self.current_action.name}",
                stacklevel=2,
            )
            self._collect()
        self._enter_step()

    def _recorded(self, for_what: str) -> list[FunctionEvent]:
        """The events of the latest cycle; AssertionError before the first."""
        if self._events is None and self._recorder is None:
            raise AssertionError(f"Profiler must be initialized before {for_what}")
        return nested(self._events or ())

    def events(self) -> EventList:
        """The events of the latest cycle, in order of their start."""
        return EventList(self._recorded("accessing events"), profile_memory=self.profile_memory)

    def key_averages(
        self,
        group_by_input_shape: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """The events of the latest cycle averaged by name, and by input shapes if asked for."""
        return averages(
            self._recorded("getting key averages"),
            by_shape=group_by_input_shape,
            profile_memory=self.profile_memory,
        )

    def add_metadata(self, key: str, value: str) -> None:
        """Put a text into the trace."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Put a JSON text into the trace."""
        self._metadata[key] = json.loads(value)

    preset_metadata_json = add_metadata_json

    def export_chrome_trace(self, path: str, use_python_export: bool = False) -> None:
        """Write the events for chrome://tracing or Perfetto; gzipped if `path` ends in .gz.

        Traces of all ranks are put together by `disttorch trace`.
        """
        events = self._recorded("exporting chrome trace")
        text = json.dumps(_chrome_trace(events, self._resident, self._metadata))
        with gzip.open(path, "wt") if path.endswith(".gz") else open(path, "w") as file:
            file.write(text)

    def _enter_step(self) -> None:
        if self.current_action in _RECORDING and self._recorder is None:
            self._recorder = Recorder(
                with_shapes=self.record_shapes, with_memory=self.profile_memory
            )
            self._recorder.start()
        if self._has_schedule and self._recorder is not None:
            self._step_block = record_function(f"ProfilerStep#{self.step_num}")
            self._step_block.__enter__()

    def _leave_step(self) -> None:
        if self._step_block is not None:
            self._step_block.__exit__()
            self._step_block = None

    def _collect(self) -> bool:
        """Take over what was recorded; False if nothing was."""
        if self._recorder is None:
            return False
        self._recorder.stop()
        kept = self.acc_events and self._events is not None
        self._events = (
            [*(self._events or ()), *self._recorder.events] if kept else self._recorder.events
        )
        self._resident = [*(self._resident if kept else ()), *self._recorder.resident]
        self._recorder = None
        return True


def tensorboard_trace_handler(
    dir_name: str,
    worker_name: str | None = None,
    use_gzip: bool = False,
    use_python_export: bool = False,
) -> Callable[[profile], None]:
    """A function for `on_trace_ready` that writes each trace to a file in `dir_name`.

    The file is named after `worker_name`, by default the host, the process and the rank.
    RuntimeError, then, if the folder cannot be made.
    """

    def handle(prof: profile) -> None:
        try:
            os.makedirs(dir_name, exist_ok=True)
        except OSError as error:
            raise RuntimeError(f"Can't create directory: {dir_name}") from error
        rank = os.environ.get("RANK")
        own = f"{socket.gethostname()}_{os.getpid()}" + (f"_rank{rank}" if rank else "")
        name = f"{worker_name or own}.{time.time_ns()}.pt.trace.json"
        prof.export_chrome_trace(os.path.join(dir_name, name + (".gz" if use_gzip else "")))

    return handle


def _flat(
    activities: Iterable[ProfilerActivity | dict[ProfilerActivity, list[str]]],
) -> set[ProfilerActivity]:
    """The activities, also of those that come with options of a device."""
    found: set[ProfilerActivity] = set()
    for item in activities:
        found |= set(item) if isinstance(item, dict) else {item}
    return found


def _chrome_trace(
    events: list[FunctionEvent], resident: list[tuple[int, int]], metadata: dict[str, str]
) -> dict[str, Any]:
    starts = [event.start_ns for event in events] + [at_ns for at_ns, _ in resident]
    base_ns = min(starts, default=0)
    pid = os.getpid()
    rank = os.environ.get("RANK", "")
    shown: list[dict[str, Any]] = [
        {
            "ph": "X",
            "cat": event.category,
            "name": event.name,
            "pid": pid,
            "tid": _TRACKS.get(event.thread, event.thread),
            "ts": (event.start_ns - base_ns) / 1000,
            "dur": (event.end_ns - event.start_ns) / 1000,
            "args": {"Input Dims": event.input_shapes},
        }
        for event in events
    ]
    shown += [
        {
            "ph": "C",
            "name": "memory",
            "pid": pid,
            "ts": (at_ns - base_ns) / 1000,
            "args": {"resident bytes": nbytes},
        }
        for at_ns, nbytes in resident
    ]
    about: dict[str, Any] = {"rank": int(rank)} if rank.isdigit() else {}
    if about:
        about["world_size"] = int(os.environ.get("WORLD_SIZE", "1"))
    return {
        "schemaVersion": 1,
        "distributedInfo": about,
        "baseTimeNanoseconds": base_ns,
        "displayTimeUnit": "ms",
        "traceEvents": shown,
        **metadata,
    }
