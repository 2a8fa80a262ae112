"""Deadlines on a clock that the test moves."""

import time

import pytest

from disttorch.comm.deadline import Deadline


def test_counts_down_and_never_below_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    deadline = Deadline.after(2.0)
    seen = []
    for clock[0] in (100.0, 101.5, 101.9999, 102.0, 200.0):
        seen.append((deadline.remaining_s(), deadline.remaining_ms(), deadline.expired()))
    remaining_ms = [ms for _, ms, _ in seen]
    assert remaining_ms == [2000, 500, 1, 0, 0]
    assert [late for _, _, late in seen] == [False, False, False, True, True]
    assert seen[-1][0] == 0.0


@pytest.mark.parametrize("timeout_s", [-1.0, float("nan")])
def test_refuses_nonsense(timeout_s: float) -> None:
    with pytest.raises(ValueError, match="timeout_s must be at least 0"):
        Deadline.after(timeout_s)


def test_infinite_is_allowed_and_polls_in_milliseconds() -> None:
    assert Deadline.after(float("inf")).remaining_ms() == 1_000_000_000
