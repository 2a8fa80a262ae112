"""Collects events while a profile runs: operators, blocks named by the program, collectives.

For as long as events are collected, the public functions and Tensor's methods are timed ones, as
are the operators' `forward` and `backward`; the plain ones come back afterwards. An operator called
from within a public function belongs to that and is no event of its own.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import get_ident
from time import monotonic_ns
from typing import Any

from disttorch import ops
from disttorch.autograd.op import Op
from disttorch.comm import phases
from disttorch.profiler.events import FunctionEvent
from disttorch.tensor import Tensor

# The thread numbers of what is recorded by no thread's own calls.
COLLECTIVES_THREAD, DATA_THREAD = 0, -1
_SAMPLE_EVERY_NS = 1_000_000
_PAGE_NBYTES = os.sysconf("SC_PAGE_SIZE")


class Recorder:
    """Collects events between `start` and `stop`; one at a time in a process."""

    active: Recorder | None = None

    def __init__(self, *, with_shapes: bool, with_memory: bool = False) -> None:
        self.events: list[FunctionEvent] = []
        self.resident: list[tuple[int, int]] = []  # time in ns, bytes; with `with_memory` only
        self._with_memory = with_memory
        self.started_ns = 0
        self._with_shapes = with_shapes
        self._plain: list[tuple[Any, str, Any]] = []

    def start(self) -> None:
        """Begin to collect; raises RuntimeError if another recorder does."""
        if Recorder.active is not None:
            raise RuntimeError("Profiler is already enabled on this thread")
        Recorder.active = self
        self.started_ns = monotonic_ns()
        self._sample(self.started_ns)
        for kind in _subclasses(Op):
            self._replace(kind, "forward", lambda ctx: _name(ctx.op_name), inner=True)
            self._replace(kind, "backward", lambda ctx: ctx.name())
        for place, names in _public_places():
            for name in names:
                self._replace(place, name, lambda _, name=name: f"aten::{name.strip('_')}")

    def stop(self) -> None:
        """End collecting; safe to call twice."""
        if Recorder.active is self:
            Recorder.active = None
            self.events += _collectives(self.started_ns)
            self.events += _data_waits(self.started_ns)
            self._sample(monotonic_ns())
        while self._plain:
            place, attribute, plain = self._plain.pop()
            setattr(place, attribute, plain)

    def _replace(
        self, place: Any, attribute: str, name_of: Callable[[Any], str], *, inner: bool = False
    ) -> None:
        plain = vars(place).get(attribute)
        if isinstance(plain, types.FunctionType):
            self._plain.append((place, attribute, plain))
            setattr(place, attribute, self._timed(plain, name_of, inner=inner))

    def _sample(self, now_ns: int) -> None:
        """Note how much memory the process holds, at most once a millisecond."""
        if self._with_memory and (
            not self.resident or now_ns - self.resident[-1][0] >= _SAMPLE_EVERY_NS
        ):
            self.resident.append((now_ns, _resident_nbytes()))

    def _timed(
        self, plain: Callable[..., Any], name_of: Callable[[Any], str], *, inner: bool
    ) -> Callable[..., Any]:
        add, with_shapes = self.events.append, self._with_shapes

        @functools.wraps(plain)
        def timed(*args: Any, **params: Any) -> Any:
            if (inner and _inside.depth) or _inside.measuring:
                return plain(*args, **params)
            _inside.depth += not inner
            found = None
            start_ns = monotonic_ns()
            try:
                found = plain(*args, **params)
                return found
            finally:
                end_ns = monotonic_ns()
                _inside.depth -= not inner
                name = name_of(args[0] if args else None)
                shapes = _shapes(args) if with_shapes else []
                nbytes = _new_nbytes(found, args) if self._with_memory else 0
                event = FunctionEvent(name, start_ns, end_ns, get_ident(), input_shapes=shapes)
                event.cpu_memory_usage = nbytes
                add(event)
                self._sample(end_ns)

        return timed


class _Inside(threading.local):
    """How many public functions this thread is in; `measuring` while it looks at their results."""

    depth = 0
    measuring = False


_inside = _Inside()


def _public_places() -> Iterator[tuple[Any, Iterable[str]]]:
    """Where programs find operators: the package, its functional interface, Tensor."""
    package = sys.modules["disttorch"]
    yield package, list(ops.PUBLIC)
    yield Tensor, [name for name in ops.METHODS if name in vars(Tensor)]
    # Loaded now: short ways of its functions are no operators that could be seen below them.
    functional = importlib.import_module("disttorch.nn.functional")
    yield functional, [name for name in vars(functional) if not name.startswith("_")]


class record_function(contextlib.ContextDecorator):
    """A block with a name of its own in the profile; as a context manager or a decorator."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._starts_ns: list[int] = []

    def __enter__(self) -> record_function:
        self._starts_ns.append(monotonic_ns())
        return self

    def __exit__(self, *exc_info: object) -> None:
        start_ns, recorder = self._starts_ns.pop(), Recorder.active
        if recorder is not None and start_ns >= recorder.started_ns:
            thread = get_ident()
            event = FunctionEvent(self.name, start_ns, monotonic_ns(), thread, "user_annotation")
            recorder.events.append(event)


def _collectives(since_ns: int) -> Iterator[FunctionEvent]:
    """What this rank's status page holds of the time since then, as events."""
    from disttorch.distributed.world import GroupMember  # noqa: PLC0415 - few programs have groups

    page = getattr(GroupMember.WORLD, "page", None)
    for record in page.records() if page is not None else ():
        start_ns = int(record.begun_s * 1e9)
        if start_ns >= since_ns and not record.under_way:
            name = f"disttorch::{record.operation}"
            end_ns = int(record.ended_s * 1e9)
            yield FunctionEvent(
                *(name, start_ns, end_ns, COLLECTIVES_THREAD, "communication"),
                [list(record.shape)],
            )


def _data_waits(since_ns: int) -> Iterator[FunctionEvent]:
    """When this rank waited for its loader, as events on a line of their own."""
    for begun_s, ended_s in phases.spans(phases.DATA):
        start_ns = int(begun_s * 1e9)
        if start_ns >= since_ns:
            yield FunctionEvent(
                "disttorch::data_wait", start_ns, int(ended_s * 1e9), DATA_THREAD, "data_wait"
            )


def _new_nbytes(found: Any, args: tuple[Any, ...]) -> int:
    """Bytes of the tensors and arrays in a result that share no memory with the arguments."""
    _inside.measuring = True  # reading a storage's address is no event
    try:
        return _bytes_beside(found, {_memory_of(x) for x in args})
    finally:
        _inside.measuring = False


def _bytes_beside(found: Any, given: set[int]) -> int:
    results = found if isinstance(found, tuple | list) else (found,)
    new = {_memory_of(x): x for x in results}
    return sum(int(x.nbytes) for at, x in new.items() if at and at not in given)


def _memory_of(x: Any) -> int:
    """Where the memory of a tensor or an array begins; 0 for anything else, or for a view."""
    if isinstance(x, Tensor):
        return x.untyped_storage().data_ptr()
    return id(x) if hasattr(x, "nbytes") and getattr(x, "base", None) is None else 0


def _resident_nbytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_NBYTES
    except OSError:
        return 0


def _subclasses(kind: type) -> Iterator[type]:
    for found in kind.__subclasses__():
        yield found
        yield from _subclasses(found)


@functools.cache
def _name(kind: str) -> str:
    """`aten::log_softmax` for LogSoftmax."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind)
    return f"aten::{snake.strip('_').lower()}"


def _shapes(args: tuple[Any, ...]) -> list[list[int]]:
    return [list(x.shape) if hasattr(x, "shape") else [] for x in args]
