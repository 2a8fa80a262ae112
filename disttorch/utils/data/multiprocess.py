"""Iterating with workers: batches are asked for ahead, made in slots, delivered in order."""

from __future__ import annotations

import itertools
import pickle
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from disttorch.comm.errors import SharedMemoryError
from disttorch.utils.data.pool import WorkerPool
from disttorch.utils.data.ring import Ring, aligned
from disttorch.utils.data.rows import Layout, fill, merge_arrays, merge_structures
from disttorch.utils.data.worker import Done, Exhausted, Failed, NewEpoch, Task, UseRing

_MAX_LENT = 2  # batches the user may hold in slots; older ones would starve the workers
_ROOM = 1.25  # slots for whole batches get this much more than the first batch took
_MIN_ROWS_PER_PART = 4  # fewer are not worth a message of their own


@dataclass
class _Batch:
    """A batch under way: the slot it is made in and the answers that have come."""

    n_parts: int
    slot: int | None
    n_rows: int
    worker_id: int
    answers: dict[int, Done | Failed | Exhausted] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        # Failures count as answers: until the last part has answered its worker may still write.
        return len(self.answers) == self.n_parts


class MultiprocessIterator:
    """One pass (or, with persistent workers, several) over a loader's batches."""

    def __init__(
        self,
        pool: WorkerPool,
        indices: Iterator[Any],
        *,
        by_rows: bool,
        prefetch_factor: int,
        timeout_s: float,
        in_order: bool,
        persistent: bool,
    ) -> None:
        self._pool = pool
        self._by_rows = by_rows
        self._n_workers = len(pool)
        self._n_ahead = prefetch_factor * len(pool)
        self._timeout_s = timeout_s
        self._in_order = in_order
        self._persistent = persistent
        self._ring: Ring | None = None
        self._layout: Layout | None = None
        self._ring_tried = False
        self.begin(indices)

    def begin(self, indices: Iterator[Any]) -> None:
        """Start a pass and ask for the first batches."""
        self._indices: Iterator[Any] = indices
        self._batches: dict[int, _Batch] = {}
        self._asked = 0
        self._next = 0
        self._live = list(range(self._n_workers))
        self._turn = 0
        self._ask_ahead()

    def restart(self, indices: Iterator[Any], base_seed: int) -> None:
        """Begin another pass with the same workers."""
        while any(not b.complete for b in self._batches.values()):
            self._collect(None)  # answers of an abandoned pass
        for batch in self._batches.values():
            self._release(batch)
        self._pool.tell_all(NewEpoch(base_seed))
        self.begin(indices)

    def __iter__(self) -> MultiprocessIterator:
        return self

    def __next__(self) -> Any:
        while True:
            if self._next not in self._batches:
                if not self._persistent:
                    self.close()
                raise StopIteration
            number = self._await_next()
            batch = self._batches.pop(number)
            if number == self._next:
                self._advance()
            answers = [batch.answers[i] for i in range(batch.n_parts)]
            failure = next((x for x in answers if not isinstance(x, Done)), None)
            if failure is not None:
                self._release(batch)
                self._ask_ahead()
                if isinstance(failure, Failed):
                    raise error_of(failure)
                continue
            parts = [x for x in answers if isinstance(x, Done)]
            if self._by_rows:
                result = self._from_rows(batch, parts)
            else:
                result = self._from_whole(batch, parts[0])
            self._ask_ahead()
            return result

    def _advance(self) -> None:
        """Move on to the oldest batch that was not delivered."""
        self._next += 1
        while self._next < self._asked and self._next not in self._batches:
            self._next += 1

    def _await_next(self) -> int:
        """Return the number of the next complete batch: the oldest or, out of order, any."""
        deadline = time.monotonic() + self._timeout_s if self._timeout_s > 0 else None
        while True:
            if self._batches[self._next].complete:
                return self._next
            if not self._in_order:
                for number, batch in self._batches.items():
                    if batch.complete:
                        return number
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise RuntimeError(f"DataLoader timed out after {self._timeout_s} seconds")
            self._collect(left)

    def _collect(self, timeout_s: float | None) -> None:
        """Take in the workers' answers."""
        for answer in self._pool.answers(timeout_s):
            batch = self._batches[answer.batch]
            batch.answers[answer.part] = answer
            if isinstance(answer, Exhausted) and batch.worker_id in self._live:
                self._live.remove(batch.worker_id)

    # ---- asking -----------------------------------------------------------------------------

    def _ask_ahead(self) -> None:
        """Keep `prefetch_factor` batches a worker under way."""
        while len(self._batches) < self._n_ahead and self._live:
            try:
                indices = next(self._indices)
            except StopIteration:
                return
            self._ask(indices)

    def _ask(self, indices: Any) -> None:
        number, self._asked = self._asked, self._asked + 1
        slot = self._ring.take() if self._ring is not None else None
        worker_id = self._live[self._turn % len(self._live)]
        self._turn = (self._live.index(worker_id) + 1) % len(self._live)
        if not self._by_rows:
            self._batches[number] = _Batch(1, slot, 0, worker_id)
            self._pool.submit(worker_id, Task(number, 0, 0, indices, slot))
            return
        bounds = split_rows(len(indices), self._n_workers)
        self._batches[number] = _Batch(len(bounds) - 1, slot, len(indices), worker_id)
        for part, (start, stop) in enumerate(itertools.pairwise(bounds)):
            task = Task(number, part, start, indices[start:stop], slot)
            self._pool.submit((worker_id + part) % self._n_workers, task)

    # ---- putting together -------------------------------------------------------------------

    def _buffer_of(self, batch: _Batch) -> Any:
        """The batch's bytes: lent with its slot or, when the user holds many, a copy."""
        assert self._ring is not None and batch.slot is not None
        if self._ring.n_lent < _MAX_LENT:
            buffer = self._ring.lend(batch.slot)
        else:
            buffer = bytearray(self._ring.peek(batch.slot))
            self._ring.give_back(batch.slot)
        batch.slot = None
        return buffer

    def _from_rows(self, batch: _Batch, parts: list[Done]) -> Any:
        structure = merge_structures([p.structure for p in parts])
        if all(p.in_slot for p in parts):
            assert self._layout is not None
            buffer = self._buffer_of(batch)
            return fill(structure, self._layout.arrays(buffer, slice(0, batch.n_rows)))
        bounds = split_rows(batch.n_rows, self._n_workers)
        arrays = merge_arrays([self._part_arrays(batch, p, bounds) for p in parts])
        self._release(batch)
        if not self._ring_tried:
            layout = Layout.of(arrays, batch.n_rows)
            self._make_ring(layout.nbytes, layout)
        return fill(structure, arrays)

    def _part_arrays(self, batch: _Batch, part: Done, bounds: list[int]) -> list[np.ndarray]:
        """A part's rows, from its message or copied out of the slot."""
        if not part.in_slot:
            return part.payload  # type: ignore[no-any-return]
        assert self._layout is not None and self._ring is not None and batch.slot is not None
        rows = slice(bounds[part.part], bounds[part.part + 1])
        return [a.copy() for a in self._layout.arrays(self._ring.peek(batch.slot), rows)]

    def _from_whole(self, batch: _Batch, part: Done) -> Any:
        if part.in_slot:
            memory, offset, buffers = memoryview(self._buffer_of(batch)).cast("B"), 0, []
            for nbytes in part.sizes:
                buffers.append(memory[offset : offset + nbytes])
                offset += aligned(nbytes)
            return pickle.loads(part.structure, buffers=buffers)
        self._release(batch)
        result = pickle.loads(part.structure, buffers=[bytearray(b) for b in part.payload])
        if not self._ring_tried and part.sizes:
            self._make_ring(int(sum(map(aligned, part.sizes)) * _ROOM), None)
        return result

    def _make_ring(self, slot_nbytes: int, layout: Layout | None) -> None:
        """Make slots for batches like the first; without memory, batches go through the pipes."""
        self._ring_tried = True
        try:
            self._ring = Ring(self._n_ahead + _MAX_LENT, slot_nbytes)
        except (SharedMemoryError, OSError, AttributeError) as error:
            warnings.warn(
                f"DataLoader: batches go through pipes, which is slower: {error}", stacklevel=5
            )
            return
        self._layout = layout
        self._pool.tell_all(UseRing(self._ring.address, layout))

    def _release(self, batch: _Batch) -> None:
        if batch.slot is not None and self._ring is not None:
            self._ring.give_back(batch.slot)
            batch.slot = None

    def close(self) -> None:
        """End the workers and let go of the slots; batches in use stay valid."""
        self._pool.close()
        self._batches.clear()
        if self._ring is not None:
            self._ring.close()

    def __del__(self) -> None:
        self.close()


def split_rows(n_rows: int, n_workers: int) -> list[int]:
    """Bounds of the parts into which a batch is split: [0, ..., n_rows]."""
    n_parts = max(1, min(n_workers, n_rows // _MIN_ROWS_PER_PART))
    return [n_rows * i // n_parts for i in range(n_parts + 1)]


def error_of(failure: Failed) -> BaseException:
    """Return a worker's exception, of its own type where that can be made, with its traceback.

    Not raised here: a frame that held it would be a cycle, and keep the workers alive with it.
    """
    where = f" (while fetching indices {failure.indices})" if failure.indices is not None else ""
    text = (
        f"Caught {failure.kind.__name__} in DataLoader worker process {failure.worker_id}{where}.\n"
        f"Original {failure.traceback}"
    )
    if failure.kind is KeyError:
        text = _VerbatimKey(text)
    try:
        return failure.kind(text)
    except TypeError:
        return RuntimeError(text)


class _VerbatimKey(str):
    """A message that KeyError prints with its line breaks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
