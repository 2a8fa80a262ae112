"""`torch.utils.benchmark`: how long a statement takes, after a warm-up, with so many threads.

https://docs.pytorch.org/docs/stable/benchmark_utils.html
"""

from __future__ import annotations

import timeit as _timeit
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, median, quantiles
from time import perf_counter
from typing import Any

from disttorch.backends.cpu.threads import get_num_threads, set_num_threads

__all__ = ["Measurement", "Timer", "timer"]

timer = perf_counter

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


@dataclass(frozen=True)
class Measurement:
    """Times of a statement: `raw_times` in seconds, each of `number_per_run` executions."""

    number_per_run: int
    raw_times: list[float]
    title: str
    num_threads: int = 1

    @property
    def times(self) -> list[float]:
        """Seconds an execution, one figure a block."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def mean(self) -> float:
        """Seconds an execution, the mean of the blocks."""
        return fmean(self.times)

    @property
    def median(self) -> float:
        """Seconds an execution, the median of the blocks."""
        return median(self.times)

    @property
    def iqr(self) -> float:
        """Seconds between the quarter and three quarters of the blocks; 0 for a single one."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = quantiles(self.times, n=4, method="inclusive")
        return high - low

    def __repr__(self) -> str:
        scale, unit = next((u for u in _UNITS if self.median >= u[0]), _UNITS[-1])
        blocks = len(self.raw_times)
        return (
            f"<{__name__}.Measurement object>\n{self.title}\n"
            f"  {'Median' if blocks > 1 else ' Mean'}: {self.median / scale:.2f} {unit}\n"
            f"  {blocks} measurement{'s' * (blocks > 1)}, {self.number_per_run} runs per "
            f"measurement, {self.num_threads} thread{'s' * (self.num_threads > 1)}"
        )


class Timer:
    """Times `stmt`, Python source that runs with `globals` after `setup`."""

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Any = "python",
    ) -> None:
        if str(language).lower() not in ("py", "python"):
            raise ValueError(f"only Python statements can be timed, got language={language!r}")
        self._timer = _timeit.Timer(stmt, setup, timer, dict(globals or {}))
        self._title = ": ".join(x for x in (label or stmt, sub_label, description) if x)
        self._num_threads = num_threads

    def _blocks(self, number: int, enough: Callable[[list[float]], bool]) -> Measurement:
        """Time blocks of `number` executions until `enough` of them are there."""
        threads = get_num_threads()
        set_num_threads(self._num_threads)
        try:
            self._timer.timeit(max(number // 100, 2))  # the warm-up
            times: list[float] = []
            while not enough(times):
                times.append(self._timer.timeit(number))
        finally:
            set_num_threads(threads)
        return Measurement(number, times, self._title, self._num_threads)

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """Time one block of `number` executions, after a warm-up."""
        return self._blocks(number, lambda times: len(times) == 1)

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Time blocks, each long against the clock's own cost, for `min_run_time` seconds."""
        number = 1
        while (took := self._timer.timeit(number)) < min_run_time / 1000:
            number *= 10
            if callback is not None:
                callback(number, took)
        return self._blocks(number, lambda times: sum(times) >= min_run_time)
