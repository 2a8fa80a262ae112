import math
import os
import signal
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disttorch_launcher.hosts import HostCause, Verdict, lost
from disttorch_launcher.outcome import ErrorRecord, RankExit
from disttorch_launcher.supervisor import (
    ZYGOTE_LOST_STATUS,
    Announce,
    AnnounceHost,
    AnnounceRestart,
    AnnounceStop,
    AnnounceWait,
    Finish,
    HostFailed,
    HostLost,
    HostsAgreed,
    OutputLost,
    Phase,
    Policy,
    RankExited,
    RankFailing,
    SendSignal,
    SignalReceived,
    StartRanks,
    TellEnd,
    TellStop,
    Tick,
    ZygoteLost,
    begin,
    step,
)

RANKS = frozenset(range(3))
POLICY = Policy(RANKS, max_restarts=1, grace_s=10.0, settle_s=1.0, reap_s=5.0)
LOST = ErrorRecord(0, "PeerLostError", "rank 1 is lost", consequence=True, ranks=(1,))


def ended(rank, code=0, now_s=0.0, *, joined=False, stopped=False, record=None):
    exit_ = RankExit(rank, code, int(now_s * 1e9), joined=joined, stopped=stopped, record=record)
    return RankExited(exit_, now_s)


BOOM = ErrorRecord(5 * 10**9, "ValueError", "boom")


def failing(rank, now_s):
    return RankFailing(RankExit(rank, 1, int(now_s * 1e9), record=BOOM), now_s)


def told(event, now_s):
    return SignalReceived(int(event), now_s)


def send(ranks, signum):
    return SendSignal(frozenset(ranks), int(signum))


def play(events, policy=POLICY):
    """The final state and, for each event, the actions it caused."""
    state, first = begin(policy)
    assert first == [StartRanks(0)]
    caused = []
    for event in events:
        state, actions = step(state, event)
        caused.append(list(actions))
    return state, caused


def failed(rank, code, now_s, **more):
    return ended(rank, code, now_s, **more).exit


# name: [(event, the actions it must cause)]
HISTORIES = {
    "all leave with 0": [
        (ended(0), []),
        (ended(2), []),
        (ended(1), [Finish(0)]),
    ],
    "one fails, the others report their consequence and end": [
        (ended(1, 3, 5.0), [Announce(failed(1, 3, 5.0))]),
        (ended(0, 1, 5.1, record=LOST), []),
        (ended(2, 1, 5.1, record=LOST), [Finish(3)]),
    ],
    "one fails, the others have to be stopped": [
        (ended(1, 3, 5.0), [Announce(failed(1, 3, 5.0))]),
        (Tick(5.9), []),
        (Tick(6.0), [send({0, 2}, SIGTERM)]),
        (ended(0, -15, 6.1, stopped=True), []),
        (Tick(15.9), []),
        (Tick(16.0), [send({2}, SIGKILL)]),
        (ended(2, -9, 16.1, stopped=True), [Finish(3)]),
    ],
    "killed rank": [
        (ended(1, -9, 5.0), [Announce(failed(1, -9, 5.0))]),
        (ended(0, 1, 5.1, record=LOST), []),
        (ended(2, 1, 5.1, record=LOST), [Finish(137)]),
    ],
    "not even SIGKILL ends a rank": [
        (ended(0), []),
        (ended(1, 3, 5.0), [Announce(failed(1, 3, 5.0))]),
        (Tick(6.0), [send({2}, SIGTERM)]),
        (Tick(16.0), [send({2}, SIGKILL)]),
        (Tick(20.9), []),
        (Tick(21.0), [Finish(3)]),
    ],
    "Ctrl-C, and the ranks end": [
        (told(SIGINT, 1.0), [AnnounceStop(SIGINT), send(RANKS, SIGINT)]),
        (ended(0, -2, 1.1, stopped=True), []),
        (ended(1, -2, 1.1, stopped=True), []),
        (ended(2, -2, 1.1, stopped=True), [Finish(130)]),
    ],
    "Ctrl-C three times": [
        (told(SIGINT, 1.0), [AnnounceStop(SIGINT), send(RANKS, SIGINT)]),
        (told(SIGINT, 2.0), [send(RANKS, SIGTERM)]),
        (told(SIGINT, 3.0), [send(RANKS, SIGKILL)]),
        (told(SIGINT, 4.0), [send(RANKS, SIGINT)]),
        (Tick(7.9), []),
        (Tick(8.0), [Finish(130)]),
    ],
    "SIGTERM, and every rank ends well": [
        (told(SIGTERM, 1.0), [AnnounceStop(SIGTERM), send(RANKS, SIGTERM)]),
        (ended(0, 0, 2.0), []),
        (ended(1, 0, 2.0), []),
        (ended(2, 0, 2.0), [Finish(0)]),
    ],
    "SIGTERM, and one rank asks to be queued again": [
        (told(SIGTERM, 1.0), [AnnounceStop(SIGTERM), send(RANKS, SIGTERM)]),
        (ended(0, 85, 2.0, stopped=True), []),
        (ended(1, -15, 2.0, stopped=True), []),
        (ended(2, -15, 2.0, stopped=True), [Finish(85)]),
    ],
    "the terminal goes": [
        (told(SIGHUP, 1.0), [AnnounceStop(SIGHUP), send(RANKS, SIGHUP)]),
        (Tick(11.0), [send(RANKS, SIGKILL)]),
    ],
    "a notification is passed on and changes nothing": [
        (told(SIGUSR1, 1.0), [send(RANKS, SIGUSR1)]),
        (ended(0), []),
        (ended(1), []),
        (ended(2), [Finish(0)]),
    ],
    "nobody reads our output": [
        (OutputLost(1.0), [AnnounceStop(signal.SIGPIPE), send(RANKS, SIGTERM)]),
        (OutputLost(1.1), [send(RANKS, SIGTERM)]),
        (ended(0, -15, 2.0, stopped=True), []),
        (ended(1, -15, 2.0, stopped=True), []),
        (ended(2, -15, 2.0, stopped=True), [Finish(141)]),
    ],
    "the zygote is killed": [
        (ZygoteLost(1.0), [Finish(ZYGOTE_LOST_STATUS)]),
        (ended(0, -9, 1.1), []),
    ],
    "a rank leaves while the others need it": [
        (ended(1, 0, 5.0), []),
        (ended(0, 1, 5.1, record=LOST), [Announce(failed(0, 1, 5.1, record=LOST))]),
        (ended(2, 1, 5.1, record=LOST), [Finish(1)]),
    ],
    "a script has failed and its process takes its time": [
        (failing(1, 5.0), [Announce(failing(1, 5.0).exit)]),
        (ended(0, 1, 5.5, record=LOST), []),
        (Tick(6.0), [send({2}, SIGTERM)]),
        (ended(2, -15, 6.1, stopped=True), []),
        (Tick(16.0), [send({1}, SIGKILL)]),
        (ended(1, -9, 16.1, record=BOOM), [Finish(1)]),
    ],
    "the last script has failed and its process takes its time": [
        (ended(0), []),
        (ended(2), []),
        (failing(1, 5.0), []),
        (Tick(6.0), []),
        (ended(1, 1, 9.0, record=BOOM), [Finish(1)]),
    ],
    "a second exit of the same rank is ignored": [
        (ended(1, 0, 5.0), []),
        (ended(1, 7, 6.0), []),
        (ended(0), []),
        (ended(2), [Finish(0)]),
    ],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_history(name):
    _, caused = play([event for event, _ in HISTORIES[name]])
    assert caused == [actions for _, actions in HISTORIES[name]]


def fail_all(at_s, *, joined):
    return [
        ended(1, 3, at_s, joined=joined),
        ended(0, 1, at_s, record=LOST, joined=joined),
        ended(2, 1, at_s, record=LOST, joined=joined),
    ]


def test_restarts_after_a_failure_of_joined_ranks():
    state, caused = play(fail_all(5.0, joined=True))
    assert caused[-1] == [AnnounceRestart(tuple(e.exit for e in fail_all(5.0, joined=True)), 1),
                          StartRanks(1)]  # fmt: skip
    assert (state.phase, state.alive, state.exits) == (Phase.RUNNING, RANKS, ())


def test_restarts_only_so_often():
    _, caused = play([*fail_all(5.0, joined=True), *fail_all(9.0, joined=True)])
    assert caused[-1] == [Finish(3)]


def test_does_not_restart_what_failed_before_joining():
    _, caused = play(fail_all(5.0, joined=False))
    assert caused[-1] == [Finish(3)]


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_does_not_restart_what_the_user_stopped(moment):
    events = fail_all(5.0, joined=True)
    events.insert(moment, told(SIGINT, 5.0))
    _, caused = play(events)
    assert isinstance(caused[-1][-1], Finish)


def test_no_tick_is_due_while_all_is_well():
    state, _ = begin(POLICY)
    assert state.deadline_s == math.inf


TWO_HOSTS = Policy(RANKS, several_hosts=True, max_restarts=1, grace_s=10.0)
FAR = HostCause(1, "rank 4 raised ValueError: far", 3, order=1)
FAR_CONSEQUENCE = HostCause(1, "rank 3 raised PeerLostError", 1, is_consequence=True)
GONE = lost(1, "has gone")


def lost_peer(rank, now_s):
    return ended(rank, 1, now_s, record=LOST)


def all_lose_their_peer(now_s):
    return [(lost_peer(0, now_s), []), (lost_peer(1, now_s), []),
            (lost_peer(2, now_s), [TellEnd(1)])]  # fmt: skip


# name: [(event, the actions it must cause)] of a job on two hosts, seen on host 0
HISTORIES_OF_HOSTS = {
    "the other fails, ranks here miss their peers": [
        *all_lose_their_peer(1.0),
        (HostFailed(FAR, 0, 1.2), []),
        (HostsAgreed(Verdict(False, 3, FAR), 0, FAR), [Finish(3)]),
    ],
    "the other fails, ranks here do not notice": [
        (HostFailed(FAR, 0, 1.0), [AnnounceHost(FAR)]),
        (Tick(2.0), [send(RANKS, SIGTERM)]),
        *[(ended(rank, -15, 2.1, stopped=True), []) for rank in (0, 1)],
        (ended(2, -15, 2.1, stopped=True), [TellEnd(143)]),
        (HostsAgreed(Verdict(False, 3, FAR), 0, FAR), [Finish(3)]),
    ],
    "a consequence is not announced while its cause may come": [
        (lost_peer(0, 1.0), []),
        (ended(1, 7, 1.1), [Announce(ended(1, 7, 1.1).exit)]),
        (HostFailed(FAR_CONSEQUENCE, 0, 1.2), []),
        (lost_peer(2, 1.3), [TellEnd(7)]),
        (HostsAgreed(Verdict(False, 7), 0), [Finish(7)]),
    ],
    "a consequence whose cause never comes": [
        (lost_peer(0, 1.0), []),
        (Tick(2.0), [Announce(lost_peer(0, 1.0).exit), send({1, 2}, SIGTERM)]),
    ],
    "all is well here, and later there": [
        (ended(0), []), (ended(1), []), (ended(2), [TellEnd(0)]),
        (HostsAgreed(Verdict(False, 0), 0), [Finish(0)]),
    ],
    "all is well here; the other fails, and all restart": [
        (ended(0), []), (ended(1), []), (ended(2), [TellEnd(0)]),
        (HostFailed(FAR, 0, 5.0), []),
        (HostsAgreed(Verdict(True, 3, FAR), 0, FAR), [
            AnnounceRestart(tuple(ended(r).exit for r in range(3)), 1, FAR), StartRanks(1)]),
        (HostFailed(FAR, 0, 6.0), []),
    ],
    "the other is lost while ranks run": [
        (HostLost(GONE, 1.0), [AnnounceHost(GONE)]),
        (HostLost(GONE, 1.0), []),
        *all_lose_their_peer(1.1)[:2],
        (lost_peer(2, 1.1), [Finish(70)]),
    ],
    "the other is lost once the ranks have ended": [
        *all_lose_their_peer(1.1),
        (HostFailed(FAR_CONSEQUENCE, 0, 1.2), []),
        (HostLost(GONE, 2.0), [AnnounceHost(GONE), Finish(70)]),
    ],
    "Ctrl-C while the other still runs": [
        (ended(0), []), (ended(1), []), (ended(2), [TellEnd(0)]),
        (told(SIGINT, 5.0), [TellStop(SIGINT), Finish(130)]),
    ],
    "the other takes its time": [
        (ended(0), []), (ended(1), []), (ended(2, 0, 1.0), [TellEnd(0)]),
        (Tick(2.9), []), (Tick(3.0), [AnnounceWait()]), (Tick(9.0), []),
        (HostsAgreed(Verdict(False, 0), 0), [Finish(0)]),
    ],
    "stopped here; the status is this host's own": [
        (told(SIGTERM, 1.0), [AnnounceStop(SIGTERM), send(RANKS, SIGTERM)]),
        (ended(0), []), (ended(1), []), (ended(2), [TellEnd(0)]),
        (HostsAgreed(Verdict(False, 1, FAR_CONSEQUENCE), 0, FAR_CONSEQUENCE), [Finish(0)]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", HISTORIES_OF_HOSTS)
def test_history_of_two_hosts(name):
    _, caused = play([event for event, _ in HISTORIES_OF_HOSTS[name]], TWO_HOSTS)
    assert caused == [actions for _, actions in HISTORIES_OF_HOSTS[name]]


@settings(max_examples=int(os.environ.get("DISTTORCH_HISTORIES", "400")), deadline=None)
@given(st.lists(st.integers(0, 9), max_size=20))
def test_any_history_of_two_hosts_finishes_once_the_other_is_lost(drawn):
    state, _ = begin(TWO_HOSTS)
    finishes = []
    for at_s, kind in enumerate(drawn):
        events = [
            *[ended(rank, kind % 2, at_s) for rank in range(3)], lost_peer(0, at_s),
            failing(1, at_s), told(SIGINT, at_s), HostFailed(FAR, 0, at_s), Tick(at_s),
            HostsAgreed(Verdict(kind % 2 == 0, 3, FAR), 0, FAR), ended(2, -9, at_s, joined=True),
        ]  # fmt: skip
        state, actions = step(state, events[kind])
        finishes += [action for action in actions if isinstance(action, Finish)]
    for event in (HostLost(GONE, 50.0), Tick(100.0), Tick(200.0), Tick(300.0)):
        state, actions = step(state, event)
        finishes += [action for action in actions if isinstance(action, Finish)]
    assert state.phase is Phase.DONE
    assert len(finishes) == 1


CODES = st.sampled_from([0, 0, 1, 2, 3, 85, -9, -11, -15])
EVENTS = st.one_of(
    st.builds(
        lambda rank, code, joined, stopped, lost: (rank, code, joined, stopped, lost),
        st.integers(0, 2), CODES, st.booleans(), st.booleans(), st.booleans(),
    ),
    st.sampled_from([SIGINT, SIGTERM, SIGHUP, SIGUSR1]),
    st.sampled_from([OutputLost, ZygoteLost]),
    st.sampled_from(["failing 0", "failing 1"]),
    st.floats(0.0, 12.0),
)  # fmt: skip


def to_event(drawn, now_s):
    if isinstance(drawn, tuple):
        rank, code, joined, stopped, lost = drawn
        record = LOST if lost and code > 0 else None
        return ended(rank, code, now_s, joined=joined, stopped=stopped, record=record)
    if isinstance(drawn, float):
        return Tick(now_s)
    if isinstance(drawn, str):
        return failing(int(drawn[-1]), now_s)
    return drawn(now_s) if drawn in (OutputLost, ZygoteLost) else told(drawn, now_s)


@settings(max_examples=int(os.environ.get("DISTTORCH_HISTORIES", "400")), deadline=None)
@given(st.lists(EVENTS, max_size=20), st.integers(0, 3))
def test_any_history_ends_well(drawn, max_restarts):
    policy = Policy(RANKS, max_restarts=max_restarts, grace_s=10.0)
    state, _ = begin(policy)
    now_s, starts, finishes, actions_seen = 0.0, 1, [], []
    for item in drawn:
        now_s += item if isinstance(item, float) else 0.1
        state, actions = step(state, to_event(item, now_s))
        actions_seen += actions
    # From here nothing happens but time: ranks that are told to stop ignore it.
    while state.phase is not Phase.DONE and state.deadline_s < math.inf:
        now_s = state.deadline_s
        before = state
        state, actions = step(state, Tick(now_s))
        assert (state.phase, state.deadline_s) != (before.phase, before.deadline_s)
        actions_seen += actions
    starts += sum(isinstance(action, StartRanks) for action in actions_seen)
    finishes = [action.status for action in actions_seen if isinstance(action, Finish)]
    assert starts <= 1 + max_restarts
    # Either it runs with ranks alive and nothing wrong, or it has ended, once, with that status.
    if state.phase is Phase.RUNNING:
        assert state.alive and not any(e.failed for e in state.exits) and not finishes
    else:
        assert finishes == [state.status]
        assert 0 <= state.status <= 255
        if state.status == 0:
            assert not any(e.failed for e in state.exits)
    # Whoever was still alive at the end has been sent SIGKILL, unless the zygote took it along.
    if state.phase is Phase.DONE and state.status != ZYGOTE_LOST_STATUS:
        assert state.alive <= state.killed
