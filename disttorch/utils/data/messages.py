"""What a loader and its workers say to each other."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

from disttorch.utils.data.fetch import Position
from disttorch.utils.data.ring import RingAddress
from disttorch.utils.data.rows import Layout, Leaf


class Task(NamedTuple):
    """A batch, or some of its rows, to fetch; `whole` asks for all of it, collated as it is."""

    batch: int
    part: int
    first_row: int
    indices: Any
    slot: int
    whole: bool


class UseRing(NamedTuple):
    """Where the slots are; None if there is no memory for them. `layout` is for rows.

    `stage` counts how often they have grown; answers say which one they used.
    """

    address: RingAddress | None
    layout: Layout | None
    stage: int


class NewEpoch(NamedTuple):
    """Start over: a persistent worker seeds itself anew and restarts its stream."""

    epoch: int


class Sized(NamedTuple):
    """How large batches are, asked before the ring exists; the worker waits for `UseRing`.

    `leaves` are the arrays of a sample, for batches made of rows, whose `structure` is then
    known to both sides; otherwise `nbytes` is the size of a batch.
    """

    leaves: tuple[Leaf, ...] | None
    structure: Any
    nbytes: int


class Rows(NamedTuple):
    """Answer to a Task: its rows are in the slot or, if `arrays` is not None, there.

    `structure` is None if it is that of `Sized`.
    """

    batch: int
    part: int
    n_rows: int
    structure: Any
    arrays: list[Any] | None
    stage: int


class Whole(NamedTuple):
    """Answer to a Task: a pickled batch with buffers of `sizes` bytes, in the slot if None."""

    batch: int
    part: int
    pickled: bytes
    sizes: tuple[int, ...]
    buffers: list[bytes] | None
    position: Position | None
    stage: int


class Made(NamedTuple):
    """Answer of a worker that shares the loader's memory: the batch."""

    batch: int
    part: int
    value: Any
    position: Position | None


class Exhausted(NamedTuple):
    """Answer to a Task of a stream that has ended; `position` is what a stateful one left."""

    batch: int
    part: int
    position: Position | None = None


class Failed(NamedTuple):
    """Answer to a Task (or a start) that raised; `kind` is the pickled exception class."""

    batch: int
    part: int
    worker_id: int
    kind: bytes
    traceback: str
    indices: Any
    worker_kind: str = "process"


def failed(
    task: Task,
    worker_id: int,
    stream: bool,
    error: BaseException,
    text: str,
    worker_kind: str = "process",
) -> Failed:
    """The answer for an exception; its traceback is `text`. Places in a stream are not known."""
    try:
        kind = pickle.dumps(type(error))
    except Exception:  # a user's class may refuse in any way
        kind = pickle.dumps(RuntimeError)
    indices = None if stream else task.indices
    return Failed(task.batch, task.part, worker_id, kind, text, indices, worker_kind)
