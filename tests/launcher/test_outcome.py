import pytest

from disttorch_launcher.outcome import ErrorRecord, RankExit, exit_status, first_cause


def raised(at_ns, type_name="ValueError", *, consequence=False, ranks=()):
    return ErrorRecord(at_ns, type_name, "text", consequence=consequence, ranks=ranks)


def peer_lost(at_ns, *ranks):
    return raised(at_ns, "PeerLostError", consequence=True, ranks=ranks)


# name: (exits, rank of the first cause, exit status)
ENDS = {
    "nothing failed": ([RankExit(0, 0, 1), RankExit(1, 0, 2)], None, 0),
    "the exception counts, not when the process was gone": (
        [RankExit(0, 1, 50, record=raised(20)), RankExit(1, 4, 40, record=raised(30))], 0, 1),
    "a consequence seen first is still a consequence": (
        [RankExit(0, 1, 10, record=peer_lost(10, 1)), RankExit(1, -9, 20)], 1, 137),
    "what the launcher stopped is no cause": (
        [RankExit(0, -15, 10, stopped=True), RankExit(1, 7, 20)], 1, 7),
    "a rank that left while it was needed": (
        [RankExit(0, 1, 10, record=peer_lost(10, 1)), RankExit(1, 0, 5), RankExit(2, 0, 1)], 1, 1),
    "consequences of what nobody saw": (
        [RankExit(0, 3, 20, record=peer_lost(20, 7)), RankExit(1, 1, 10, record=peer_lost(10, 7))],
        1, 1),
    "signals": ([RankExit(0, -11, 10)], 0, 139),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_first_cause_and_status(name):
    exits, cause, status = ENDS[name]
    found = first_cause(exits)
    assert (found and found.rank) == cause
    assert exit_status(exits) == status


STOPPED = {
    "all end well": ([RankExit(0, 0, 1, stopped=True)], 0),
    "default handlers": (
        [RankExit(0, -15, 1, stopped=True), RankExit(1, -2, 1, stopped=True)], 143),
    "a status of its own": ([RankExit(0, -15, 1), RankExit(1, 85, 2, stopped=True)], 85),
    "lost peers have no status of their own": (
        [RankExit(0, 1, 1, stopped=True, record=peer_lost(1, 1)), RankExit(1, -15, 1)], 143),
    "KeyboardInterrupt has none either": (
        [RankExit(0, 130, 1), RankExit(1, 1, 1, record=raised(1, "KeyboardInterrupt"))], 143),
}  # fmt: skip


@pytest.mark.parametrize("name", STOPPED)
def test_status_of_a_stopped_job(name):
    exits, status = STOPPED[name]
    assert exit_status(exits, stop_signal=15) == status


def test_headline_is_one_line():
    assert ErrorRecord(0, "ValueError", "one\ntwo").headline == "ValueError: one"
    assert ErrorRecord(0, "KeyboardInterrupt", "").headline == "KeyboardInterrupt"
