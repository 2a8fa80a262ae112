"""One stream read by several: `Forker` repeats it, `Demultiplexer` shares it out."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from disttorch.utils.data.datapipes.datapipe import IterDataPipe
from disttorch.utils.data.datapipes.decorators import functional_datapipe


class _Source:
    """The stream and what each child has not read yet."""

    def __init__(self, datapipe: Any, n: int, buffer_size: int, kind: str) -> None:
        self.datapipe, self.buffer_size, self.kind = datapipe, buffer_size, kind
        self.waiting: list[deque[Any]] = [deque() for _ in range(n)]
        self.passes = [0] * n
        self.current = 0
        self.samples: Iterator[Any] | None = None

    def begin(self, child: int) -> None:
        """Start a pass of a child: with a new stream, if its last one was read from."""
        self.passes[child] += 1
        if self.passes[child] > self.current:
            self.current = self.passes[child]
            self.passes = [
                self.current if k == child else self.current - 1 for k in range(len(self.passes))
            ]
            self.samples = iter(self.datapipe)
            for queue in self.waiting:
                queue.clear()

    def next_of(self, child: int, place: Callable[[Any], None]) -> Any:
        """The next sample of a child; `place` puts what is read into the queues."""
        assert self.samples is not None
        while not self.waiting[child]:
            place(next(self.samples))
            if 0 <= self.buffer_size < sum(map(len, self.waiting)) - 1:
                raise BufferError(
                    f"{self.kind} buffer overflow,buffer size {self.buffer_size} is insufficient."
                )
        return self.waiting[child].popleft()


class _Child(IterDataPipe[Any]):
    """One of the readers."""

    def __init__(self, source: _Source, number: int, place: Callable[[Any], None]) -> None:
        self.source, self.number, self.place = source, number, place
        self.datapipe = source.datapipe

    def __iter__(self) -> Iterator[Any]:
        self.source.begin(self.number)
        while True:
            try:
                sample = self.source.next_of(self.number, self.place)
            except StopIteration:
                return
            yield sample

    def __len__(self) -> int:
        return len(self.datapipe)


def _checked(n: int) -> None:
    if n < 1:
        raise ValueError(f"Expected `num_instances` larger than 0, but {n} is found")


@functional_datapipe("fork")
class Forker(IterDataPipe[Any]):
    """Return `num_instances` pipes with the same samples; `copy`: None, "shallow" or "deep"."""

    def __new__(
        cls,
        datapipe: Any,
        num_instances: int,
        buffer_size: int = 1000,
        copy: str | None = None,
    ) -> Any:
        """Make them; `datapipe` itself for one."""
        _checked(num_instances)
        if num_instances == 1:
            return datapipe
        source = _Source(datapipe, num_instances, buffer_size, "ForkerIterDataPipe")
        duplicate = _copier(copy)

        def place(sample: Any) -> None:
            for queue in source.waiting:
                queue.append(duplicate(sample))

        return [_Child(source, k, place) for k in range(num_instances)]


def _copier(how: str | None) -> Callable[[Any], Any]:
    copiers = {None: lambda x: x, "shallow": copy.copy, "deep": copy.deepcopy}
    if how not in copiers:
        raise ValueError(
            f"Unknown copy method `{how}` requested, choose one of None, `shallow` or `deep`."
        )
    return copiers[how]


@functional_datapipe("demux")
class Demultiplexer(IterDataPipe[Any]):
    """Return `num_instances` pipes; sample x goes to the one numbered ``classifier_fn(x)``."""

    def __new__(
        cls,
        datapipe: Any,
        num_instances: int,
        classifier_fn: Callable[[Any], int | None],
        drop_none: bool = False,
        buffer_size: int = 1000,
    ) -> Any:
        """Make them; at most `buffer_size` samples wait."""
        _checked(num_instances)
        source = _Source(datapipe, num_instances, buffer_size, "DemultiplexerIterDataPipe")

        def place(sample: Any) -> None:
            number = classifier_fn(sample)
            if number is None and drop_none:
                return
            if number is None or not 0 <= number < num_instances:
                raise ValueError(
                    f"Output of the classification fn should be between 0 and {num_instances - 1}. "
                    f"{number} is returned."
                )
            source.waiting[number].append(sample)

        return [_Child(source, k, place) for k in range(num_instances)]
