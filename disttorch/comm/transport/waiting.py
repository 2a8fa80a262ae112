"""How a rank waits for another: spin, then yield the core, then nap, watching clock and peers."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable

from disttorch.comm.deadline import Deadline

# Yielding is cheap but keeps the core awake; past this a nap's wake-up is small beside the wait.
_EAGER_YIELD_S = 1e-3
_BACKGROUND_YIELD_S = 50e-6
_CHECK_EVERY_S = 10e-3
_SHORTEST_NAP_S = 20e-6
_LONGEST_NAP_S = 1e-3
# A nap of a sixteenth of the time waited so far adds at most 6 % to any wait.
_NAPS_PER_WAIT = 16
# The longest nap is a thousandth of it: a process that looks so late was stopped (Ctrl-Z), or the
# machine slept, and its peers with it.
_STOPPED_S = 1.0
_SPINS = 100


def spins_for(n_ranks: int) -> int:
    """How often to look at a flag before giving way: not at all with more ranks than cores."""
    return _SPINS if n_ranks <= len(os.sched_getaffinity(0)) else 0


def wait_until(
    ready: Callable[[], bool], deadline: Deadline, check: Callable[[], None], *, eager: bool
) -> bool:
    """Wait until `ready()`; returns False if the deadline passes first.

    `check` is called every 10 ms and may raise to end the wait. An eager wait yields the core for
    a millisecond; a wait in the background soon naps and leaves the cores to computation. Time in
    which this process was stopped does not count: the deadline moves by it.
    """
    start_s = seen_s = time.monotonic()
    yield_s = _EAGER_YIELD_S if eager else _BACKGROUND_YIELD_S
    check_at_s = start_s + _CHECK_EVERY_S
    while not ready():
        now_s = time.monotonic()
        if now_s - seen_s > _STOPPED_S:
            deadline.at_s += now_s - seen_s
        if now_s >= check_at_s:
            check()
            check_at_s = now_s + _CHECK_EVERY_S
        seen_s = now_s
        if now_s >= deadline.at_s:
            return ready()
        waited_s = now_s - start_s
        if waited_s < yield_s:
            os.sched_yield()
        else:
            time.sleep(min(_LONGEST_NAP_S, max(_SHORTEST_NAP_S, waited_s / _NAPS_PER_WAIT)))
    return True


def _no_fence() -> None:
    """x86 keeps stores in order and loads in order, all that single-writer flags need."""


def _lock_fence() -> None:
    # A release followed by an acquire orders everything before against everything after.
    for _ in range(2):
        _FENCE_LOCK.acquire()
        _FENCE_LOCK.release()


_FENCE_LOCK = threading.Lock()
fence = _no_fence if platform.machine() in ("x86_64", "AMD64") else _lock_fence
"""Order memory accesses around a flag."""
