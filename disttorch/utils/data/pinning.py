"""Batches in page-locked memory, from which copies to a device need not wait."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from disttorch.backends.base import BACKEND_BY_TYPE, Backend
from disttorch.tensor import Tensor
from disttorch.utils.data.collate import rebuild_mapping, rebuild_sequence
from disttorch.utils.data.progress import BatchIterator, Progress, Receipt

_N_READY = 2  # batches pinned ahead
_END_S = 1.0


def pinning_backend() -> Backend | None:
    """The backend of a device that has page-locked memory; None if there is no such device."""
    return next((b for b in BACKEND_BY_TYPE.values() if b.pins_memory), None)


def pin(data: Any, backend: Backend) -> Any:
    """Copy the CPU tensors within a batch to page-locked memory; structures are kept.

    Objects with a method `pin_memory` are asked for it.
    """
    if isinstance(data, Tensor):
        return _pinned(data, backend)
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, (str, bytes)):
        return data
    if isinstance(data, Mapping):
        return rebuild_mapping(data, {k: pin(v, backend) for k, v in data.items()})
    if isinstance(data, tuple):
        items = [pin(v, backend) for v in data]
        return type(data)(*items) if hasattr(data, "_fields") else type(data)(items)
    if isinstance(data, Sequence):
        return rebuild_sequence(data, [pin(v, backend) for v in data])
    return data


def _pinned(tensor: Tensor, backend: Backend) -> Tensor:
    source = tensor._array
    if type(source) is not np.ndarray:
        return tensor  # on a device already
    target = backend.pinned_empty(source.shape, source.dtype)
    np.copyto(target, source)
    return Tensor._wrap(target)


class _Deferred:
    """Stands for a pass's progress where batches are made: they count when the user gets them."""

    def __init__(self, progress: Progress) -> None:
        self.n_batches, self.turn = progress.n_batches, progress.turn
        self.receipts: deque[Receipt] = deque()

    def delivered(self, receipt: Receipt) -> None:
        """Keep the receipt for later."""
        self.receipts.append(receipt)

    def ended(self) -> None:
        """Do nothing: the user is told later."""


class PinningIterator(BatchIterator):
    """Pins the batches of another iterator ahead, in a thread of its own.

    Errors of the other iterator come out where they occurred.
    """

    def __init__(self, make: Callable[[Any], Any], backend: Backend, progress: Progress) -> None:
        self._backend = backend
        deferred = _Deferred(progress)
        self._batches = make(deferred)
        self._start(progress, deferred)

    def _start(self, progress: Progress, deferred: _Deferred) -> None:
        self._progress, self._deferred = progress, deferred
        self._ready: queue.Queue[Any] = queue.Queue(_N_READY)
        self._closing = threading.Event()
        self._ended = False
        # Nothing of this object: the thread would keep an abandoned iterator alive.
        self._thread = threading.Thread(
            target=_pin_all,
            args=(self._batches, self._backend, self._ready, self._closing),
            name="DataLoader pinning",
            daemon=True,
        )
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether there are no workers any more."""
        return bool(self._batches.closed)

    def restart(self, requests: Iterator[Any], progress: Progress) -> None:
        """Begin another pass with the same workers."""
        self._stop(None)
        deferred = _Deferred(progress)
        self._batches.restart(requests, deferred)
        self._start(progress, deferred)

    def _next_batch(self) -> Any:
        if self._ended:
            raise StopIteration
        batch, error = self._ready.get()
        if isinstance(error, StopIteration):
            self._ended = True
            self._thread.join()
            self._progress.ended()
            raise StopIteration
        if self._deferred.receipts:
            self._progress.delivered(self._deferred.receipts.popleft())
        if error is not None:
            raise error
        return batch

    def _stop(self, timeout_s: float | None) -> None:
        """End the thread, once it has the batch that it is waiting for."""
        self._closing.set()
        with contextlib.suppress(queue.Empty):
            while True:  # room for what the thread is about to put
                self._ready.get_nowait()
        self._thread.join(timeout_s)

    def end_with_the_pass(self) -> None:
        """There will be no other pass: the loader is gone."""
        self._batches.end_with_the_pass()

    def close(self) -> None:
        """End the workers, then the thread."""
        self._closing.set()
        self._batches.close()  # wakes the thread up, if it waits for a worker
        self._stop(_END_S)

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.close()


def _pin_all(
    batches: BatchIterator, backend: Backend, ready: queue.Queue[Any], closing: threading.Event
) -> None:
    while not closing.is_set():
        try:
            entry: tuple[Any, BaseException | None] = (pin(batches._next_batch(), backend), None)
        except BaseException as error:  # the reader's thread raises it
            entry = (None, error)
        ready.put(entry)
        if isinstance(entry[1], StopIteration):
            return
