"""Iterating with workers: batches are asked for ahead, made in slots, delivered in order."""

from __future__ import annotations

import itertools
import math
import os
import pickle
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from disttorch.utils.data.lookahead import Lookahead
from disttorch.utils.data.messages import (
    Exhausted,
    Failed,
    NewEpoch,
    Rows,
    Sized,
    Task,
    Whole,
)
from disttorch.utils.data.pool import WorkerPool
from disttorch.utils.data.progress import BatchIterator, Progress, Receipt
from disttorch.utils.data.store import MAX_LENT, Store
from disttorch.utils.data.thread_pool import ThreadPool

# A part below either is not worth a message of its own. Bytes are not known of the first batches,
# which are wanted soon.
_MIN_PART_ROWS = 4
_MAX_FURTHER = 14  # batches a worker
_MIN_PART_NBYTES = 1 << 20


@dataclass
class _Batch:
    """A batch under way: the slot it is made in and the answers that have come."""

    indices: Any
    bounds: list[int]  # rows at which its parts begin and end; one part for whole batches
    slot: int
    worker_id: int
    answers: dict[int, Rows | Whole | Failed | Exhausted] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        # Failures count as answers: until the last part has answered its worker may still write.
        return len(self.answers) == len(self.bounds) - 1


class MultiprocessIterator(BatchIterator):
    """One pass (or, with persistent workers, several) over a loader's batches.

    `prefetch_factor` batches a worker are under way, or more of small ones if it `looks_further`.
    `timeout_s` is how long to wait for a batch, 0 for ever. `kept` holds the store of an earlier
    pass of the same loader, if any, and gets that of this one when it is closed.
    """

    def __init__(
        self,
        pool: WorkerPool | ThreadPool,
        requests: Iterator[Any],
        *,
        by_rows: bool,
        batch_rows: int,
        prefetch_factor: int,
        looks_further: bool,
        timeout_s: float,
        in_order: bool,
        persistent: bool,
        kept: list[Store],
        progress: Progress,
    ) -> None:
        self._pool = pool
        self._pid = os.getpid()
        self._by_rows = by_rows
        self._batch_rows = batch_rows
        self._n_workers = len(pool)
        self._n_ahead = prefetch_factor * len(pool)
        self._timeout_s = timeout_s
        self._in_order = in_order
        self._persistent = persistent
        n_slots = self._n_ahead + MAX_LENT
        n_further = _MAX_FURTHER * len(pool) if looks_further else 0
        self._n_most = self._n_ahead + n_further
        store = kept.pop() if kept else None
        if store is None or not store.is_for(n_slots, n_further):
            store = Store(n_slots, n_further)
        self._kept = kept
        self._store = store
        self._slots = store.slots
        self._epoch = 0
        self._batches: dict[int, _Batch] = {}
        self._closed = False
        try:
            known = store.begin()
            if known is not None and store.current.ring is not None:
                pool.tell_all(known)
            self._begin(requests, progress)
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether there are no workers, or none that are this process's own: in a forked copy."""
        return self._closed or self._pid != os.getpid()

    def _begin(self, requests: Iterator[Any], progress: Progress) -> None:
        """Start a pass and ask for the first batches."""
        self._requests = requests
        self._progress = progress
        self._batches = {}
        self._asked = self._first = progress.n_batches
        self._next = self._first
        self._lookahead = Lookahead(self._n_ahead)
        self._live = set(range(self._n_workers))
        self._turn = progress.turn
        self._whole_from: float = math.inf  # number of the first batch that is not made by rows
        self._ask_ahead()

    def restart(self, requests: Iterator[Any], progress: Progress) -> None:
        """Begin another pass with the same workers."""
        deadline = self._deadline()
        while any(not b.complete for b in self._batches.values()):
            self._collect(deadline)  # answers of an abandoned pass
        for batch in self._batches.values():
            self._slots.give_back(batch.slot)
        self._epoch += 1
        self._pool.tell_all(NewEpoch(self._epoch))
        self._begin(requests, progress)

    def _next_batch(self) -> Any:
        if self._pid != os.getpid():
            raise RuntimeError("an iterator of a DataLoader with workers was used after a fork")
        deadline = self._deadline()
        while self._next in self._batches:
            number = self._await_next(deadline)
            batch = self._batches.pop(number)
            if number == self._next:
                self._advance()
            answers = [batch.answers[i] for i in range(len(batch.answers))]
            failure = next((x for x in answers if isinstance(x, (Failed, Exhausted))), None)
            if not isinstance(failure, Exhausted):
                position = getattr(answers[0], "position", None)
                self._progress.delivered(Receipt(number, batch.indices, batch.worker_id, position))
            if failure is None:
                # Decided when a batch is delivered, which does not depend on timing.
                larger = self._store.grow_for(answers)
                if larger is not None:
                    self._pool.tell_all(larger)
                if not self._store.can_use_rows:
                    # A number, not when the next is asked for, for the same reason.
                    self._whole_from = min(self._whole_from, number + self._n_most)
                result = self._store.put_together(batch.slot, batch.bounds, answers)
                self._lookahead.delivered(self._n_ahead + self._store.n_further)
                self._ask_ahead()
                return result
            self._slots.give_back(batch.slot)
            self._ask_ahead()
            if isinstance(failure, Failed):
                raise error_of(failure)
        self._progress.ended()
        if not self._persistent:
            self.close()
        raise StopIteration

    def _deadline(self) -> float | None:
        return time.monotonic() + self._timeout_s if self._timeout_s > 0 else None

    def _advance(self) -> None:
        """Move on to the oldest batch that was not delivered."""
        self._next += 1
        while self._next < self._asked and self._next not in self._batches:
            self._next += 1

    def _await_next(self, deadline: float | None) -> int:
        """Return the number of the next complete batch: the oldest or, out of order, any."""
        while True:
            if self._batches[self._next].complete:
                return self._next
            if not self._in_order:
                for number, batch in self._batches.items():
                    if batch.complete:
                        return number
            self._collect(deadline)

    def _collect(self, deadline: float | None) -> None:
        """Take in the workers' answers; RuntimeError at the deadline."""
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise RuntimeError(f"DataLoader timed out after {self._timeout_s} seconds")
        try:
            for answer in self._pool.answers(left):
                self._take_in(answer)
        except BaseException:
            # Also Ctrl-C: half an answer may have been taken, so no later one could be trusted.
            self.close()
            raise

    def _take_in(self, answer: Any) -> None:
        if isinstance(answer, Sized):
            if not self._store.sized:
                n_rows = max([self._batch_rows, *(b.bounds[-1] for b in self._batches.values())])
                self._pool.tell_all(self._store.make(answer, n_rows))
            return
        batch = self._batches[answer.batch]
        batch.answers[answer.part] = answer
        if isinstance(answer, Exhausted):
            self._live.discard(batch.worker_id)
        elif batch.complete and len(batch.answers) > 1 and not self._store.match(batch.answers):
            batch.answers.clear()
            batch.bounds = [0, len(batch.indices)]
            task = Task(answer.batch, 0, 0, batch.indices, batch.slot, True)
            self._pool.submit(batch.worker_id, task)

    # ---- asking -----------------------------------------------------------------------------

    def _ask_ahead(self) -> None:
        """Keep `prefetch_factor` batches a worker under way, or more of small ones."""
        for _ in range(self._lookahead.n_wanted(len(self._batches))):
            if not self._live:
                break
            try:
                request = next(self._requests)
            except StopIteration:
                break
            self._ask(request)
        self._pool.flush()

    def _ask(self, request: Any) -> None:
        number, self._asked = self._asked, self._asked + 1
        slot = self._slots.take()
        # In turn, those skipped whose stream has ended: which ones is a matter of timing, but the
        # order of the others is not.
        while self._turn not in self._live:
            self._turn = (self._turn + 1) % self._n_workers
        worker_id = self._turn
        self._turn = (worker_id + 1) % self._n_workers
        if not self._by_rows or number >= self._whole_from:
            self._batches[number] = _Batch(request, [0, 0], slot, worker_id)
            self._pool.submit(worker_id, Task(number, 0, 0, request, slot, True))
            return
        indices = request if isinstance(request, (list, tuple)) else list(request)
        bounds = split_rows(len(indices), self._max_parts(number, len(indices)))
        self._batches[number] = _Batch(indices, bounds, slot, worker_id)
        for part, (start, stop) in enumerate(itertools.pairwise(bounds)):
            task = Task(number, part, start, indices[start:stop], slot, False)
            # Parts that are one for each worker: the same rows, and so pages, for each of them.
            first = 0 if len(bounds) > self._n_workers else worker_id
            self._pool.submit((first + part) % self._n_workers, task)

    def _max_parts(self, number: int, n_rows: int) -> int:
        # By number, not by what is known when: which worker fetches a sample, and so the random
        # numbers it sees, must not depend on timing or on earlier passes.
        layout = self._store.current.layout
        if layout is None or number - self._first < self._n_ahead:
            return self._n_workers
        nbytes = n_rows * layout.row_nbytes
        return max(1, min(self._n_workers, nbytes // _MIN_PART_NBYTES))

    def end_with_the_pass(self) -> None:
        """There will be no other pass: the loader is gone."""
        self._persistent = False

    def close(self) -> None:
        """End the workers and let go of the slots; batches in use stay valid."""
        if self.closed:
            return
        self._pool.close()
        self._closed = True
        for batch in self._batches.values():
            self._slots.give_back(batch.slot)
        self._batches = {}
        if self._store.is_worth_keeping and not self._kept:
            self._kept.append(self._store)
        self._store = Store(0)

    def __del__(self) -> None:
        if not sys.is_finalizing():  # then multiprocessing has ended the workers
            self.close()


def split_rows(n_rows: int, max_parts: int) -> list[int]:
    """Bounds of the parts into which a batch is split: [0, ..., n_rows]."""
    n_parts = max(1, min(max_parts, n_rows // _MIN_PART_ROWS))
    return [n_rows * i // n_parts for i in range(n_parts + 1)]


def error_of(failure: Failed) -> BaseException:
    """Return a worker's exception, of its own type where that can be made, with its traceback.

    Not raised here: a frame that held it would be a cycle, and keep the workers alive with it.
    """
    try:
        kind = pickle.loads(failure.kind)
    except Exception:  # its module need not be importable here
        kind = RuntimeError
    where = f"(while fetching indices {failure.indices})\n" if failure.indices is not None else ""
    text = (
        f"Caught {kind.__name__} in DataLoader worker {failure.worker_kind} "
        f"{failure.worker_id}.\n{where}"
        f"Original {failure.traceback}"
    )
    if kind is KeyError:
        text = _VerbatimKey(text)
    try:
        # Some take their text by name and something else in its place.
        has_message = kind is not KeyError and getattr(kind, "message", None)
        error: BaseException = kind(message=text) if has_message else kind(text)
    except Exception:  # not every class takes one text
        return RuntimeError(text)
    return error


class _VerbatimKey(str):
    """A message that KeyError prints with its line breaks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
