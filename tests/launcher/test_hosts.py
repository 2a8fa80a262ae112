import json

import pytest

from disttorch_launcher.hosts import (
    HostCause,
    HostEnd,
    Verdict,
    agree,
    lost,
    pack,
    unpack_cause,
    unpack_end,
)

LATE = HostCause(0, "rank 0 raised ValueError", 4, text="late", restartable=True)
EARLY = HostCause(1, "rank 2 was killed", 137, text="early", restartable=True)
MISSED = HostCause(2, "rank 5 raised PeerLostError", 1, is_consequence=True, restartable=True)
TOLD_LATE = HostCause(0, "rank 0 raised ValueError", 4, order=2)
TOLD_EARLY = HostCause(1, "rank 2 was killed", 137, order=1)
STOPPED = HostCause(1, "stopped by SIGTERM", 0)
WELL = HostEnd(0, 0)

# name: (ends, causes told meanwhile, restarts left, status, whose text, restart)
CASES = {
    "all well": ([WELL, HostEnd(1, 0)], [], 3, 0, None, False),
    "the store's order counts": (
        [HostEnd(0, 4, LATE), HostEnd(1, 137, EARLY)], [TOLD_LATE, TOLD_EARLY], 0,
        137, "early", False),
    "consequences are blamed last": (
        [HostEnd(2, 1, MISSED), HostEnd(0, 4, LATE)], [], 1, 4, "late", True),
    "nothing but consequences": ([WELL, HostEnd(2, 1, MISSED)], [], 1, 1, "", True),
    "no restarts left": ([HostEnd(0, 4, LATE)], [TOLD_LATE], 0, 4, "late", False),
    "stopped by its user": (
        [HostEnd(1, 0, STOPPED), HostEnd(2, 1, MISSED)], [], 3, 1, "", False),
    "stopped by its user after a failure elsewhere": (
        [HostEnd(0, 1, MISSED, stop_requested=True), HostEnd(1, 137, EARLY)], [], 3,
        137, "early", False),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_agree(name):
    ends, told, left, status, text, restart = CASES[name]
    verdict = agree(ends, told, restarts_left=left)
    assert verdict == agree(ends[::-1], told[::-1], restarts_left=left)
    assert (verdict.status, verdict.restart) == (status, restart)
    assert (verdict.cause.text if verdict.cause else None) == text


def test_told_causes_without_an_end():
    verdict = agree([WELL], [TOLD_EARLY], restarts_left=3)
    assert verdict == Verdict(False, 137, TOLD_EARLY)


def test_values_travel_as_json():
    end = HostEnd(1, 137, EARLY)
    assert unpack_end(json.loads(json.dumps(pack(end)))) == end
    assert unpack_end(pack(WELL)) == WELL
    assert unpack_cause(pack(lost(2, "has gone"))).text == "first cause: host 2 has gone"
