"""An absolute point in time, made once at a public call and passed down to every wait."""

from __future__ import annotations

import math
import time
from datetime import timedelta

_LONGEST_S = 1e6


class Deadline:
    """A moment on the monotonic clock, with the time-out in seconds that it came from."""

    __slots__ = ("at_s", "timeout_s")

    def __init__(self, at_s: float, timeout_s: float) -> None:
        self.at_s = at_s
        self.timeout_s = timeout_s

    @classmethod
    def after(cls, timeout_s: timedelta | float) -> Deadline:
        """The moment `timeout_s` seconds from now; raises ValueError if it is negative or NaN."""
        timeout_s = in_seconds(timeout_s)
        if not timeout_s >= 0:
            raise ValueError(f"timeout_s must be at least 0, got {timeout_s}")
        return cls(time.monotonic() + timeout_s, timeout_s)

    def remaining_s(self) -> float:
        """Seconds left, 0.0 once the moment has passed; cut to a number every system call takes."""
        return min(max(0.0, self.at_s - time.monotonic()), _LONGEST_S)

    def remaining_ms(self) -> int:
        """Milliseconds left, rounded up, so that a poll never returns just before the deadline."""
        return math.ceil(self.remaining_s() * 1000)

    def expired(self) -> bool:
        """Whether the moment has passed."""
        return time.monotonic() >= self.at_s


def in_seconds(timeout_s: timedelta | float) -> float:
    """A time-out as PyTorch takes it, a timedelta or a number of seconds, in seconds."""
    return timeout_s.total_seconds() if isinstance(timeout_s, timedelta) else timeout_s
