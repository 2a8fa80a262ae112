"""Waiting on a clock that the test moves: order of looks, checks, naps and the deadline."""

import os
import time

import pytest

from disttorch.comm.deadline import Deadline
from disttorch.comm.transport import waiting


class Clock:
    """Time that passes only by naps and yields."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.naps: list[float] = []
        self.yields = 0

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now_s += seconds

    def give_way(self) -> None:
        self.yields += 1
        self.now_s += 10e-6


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: made.now_s)
    monkeypatch.setattr(time, "sleep", made.sleep)
    monkeypatch.setattr(os, "sched_yield", made.give_way)
    return made


def never() -> bool:
    return False


def test_ready_at_once_costs_nothing(clock: Clock) -> None:
    assert waiting.wait_until(lambda: True, Deadline.after(1), pytest.fail, eager=True)
    assert (clock.naps, clock.yields) == ([], 0)


@pytest.mark.parametrize(("eager", "n_yields"), [(True, 100), (False, 5)])
def test_yields_then_naps_until_the_deadline(clock: Clock, eager: bool, n_yields: int) -> None:
    checks: list[float] = []
    assert not waiting.wait_until(
        never, Deadline.after(2.0), lambda: checks.append(clock.now_s), eager=eager
    )
    assert clock.now_s == pytest.approx(52.0, abs=2e-3)
    assert clock.yields == pytest.approx(n_yields, abs=2)
    assert clock.naps == sorted(clock.naps)
    assert (min(clock.naps), max(clock.naps)) == (pytest.approx(6e-5, rel=0.7), 1e-3)
    assert len(checks) == pytest.approx(185, abs=15)


def test_a_check_may_end_the_wait(clock: Clock) -> None:
    def check() -> None:
        raise ConnectionError("peer lost")

    with pytest.raises(ConnectionError):
        waiting.wait_until(never, Deadline.after(60), check, eager=True)
    assert clock.now_s == pytest.approx(50.01, abs=1e-3)


def test_what_became_ready_by_the_deadline_is_not_late(clock: Clock) -> None:
    assert waiting.wait_until(
        lambda: clock.now_s > 51.0, Deadline.after(1.0), lambda: None, eager=False
    )


def test_time_in_which_the_process_was_stopped_does_not_count(clock: Clock) -> None:
    stops = iter([100.0])

    def ready() -> bool:
        if clock.now_s > 50.5:
            clock.now_s += next(stops, 0.0)
        return False

    deadline = Deadline.after(1.0)
    assert not waiting.wait_until(ready, deadline, lambda: None, eager=False)
    assert clock.now_s == pytest.approx(151.0, abs=5e-3)
    assert deadline.at_s == pytest.approx(151.0, abs=5e-3)


def test_no_spinning_with_more_ranks_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert waiting.spins_for(2) > 0
    assert waiting.spins_for(3) == 0


def test_both_fences_are_callable() -> None:
    assert waiting._no_fence() is None
    assert waiting._lock_fence() is None
    assert not waiting._FENCE_LOCK.locked()


@pytest.mark.usefixtures("clock")
def test_what_comes_at_the_deadline_has_come() -> None:
    looks = iter([False, True])
    assert waiting.wait_until(lambda: next(looks), Deadline.after(0), lambda: None, eager=True)
