import os
import subprocess
import time
from types import SimpleNamespace

import pytest

from disttorch.comm.header import Call, EncodedCall
from disttorch.comm.status import StatusPage, page_path
from disttorch_launcher.observer import Observer
from disttorch_launcher.stacks import stack_file
from disttorch_launcher.stall import Suspicion
from disttorch_launcher.whereabouts import Whereabouts, pack

STALLED = Suspicion((0,), "all_reduce #1", 10.0, {1: "it is late"}, (1,), ("key",))


class Watched:
    """An observer of ranks with the given pids, and what it sent and said."""

    def __init__(self, folder, pids, link=None):
        self.sent, self.notes = [], []
        self.observer = Observer(
            folder, 1.0, pids, lambda ranks, signum: self.sent.append(set(ranks)),
            self.notes.append, lambda rank: {}, link,
        )  # fmt: skip


@pytest.fixture
def stalled(tmp_path, monkeypatch):
    monkeypatch.setattr(Observer, "_suspicion", lambda self, now_s, after_s: STALLED)
    return tmp_path


def test_stall_is_told_once_the_stacks_have_had_their_time(stalled):
    watched = Watched(stalled, {1: os.getpid()})
    now_s = time.monotonic()
    watched.observer.tick(now_s + 1.0)
    assert watched.notes == []
    watched.observer.tick(now_s + 60.0)
    assert [note.split("\n")[0] for note in watched.notes] == [STALLED.lines({}, {})[0]]
    watched.observer.close()


def test_nothing_is_said_after_the_report(stalled):
    watched = Watched(stalled, {1: os.getpid()})
    watched.observer.tick(time.monotonic() + 1.0)
    watched.observer.close()
    assert watched.notes == []


def test_rank_that_has_become_another_program_is_not_sent_a_deadly_signal(stalled):
    with open(stack_file(str(stalled), 0, 1), "w"), subprocess.Popen(["sleep", "60"]) as process:
        watched = Watched(stalled, {1: process.pid})
        watched.observer.tick(time.monotonic() + 1.0)
        watched.observer.close()
        process.kill()
    assert watched.sent == [set()]


class Link:
    """What the launchers of two hosts say to each other, as host 0 knows it."""

    node = 0

    def __init__(self, theirs):
        self.told, self.stands_still = [], False
        packed = pack(theirs, 0, time.monotonic())
        self.elsewhere = {1: (time.monotonic(), packed)}

    def tell_where(self, where):
        self.told.append(where)


@pytest.fixture
def two_hosts(tmp_path):
    """Rank 0 waits here, rank 1 has not come there; its launcher has its stack."""
    call = EncodedCall(Call("barrier", "", "", (), -1, "t.py:5"))
    page = StatusPage(0, page_path(str(tmp_path), 0, 0))
    page.begin(1, call, "world")
    there = Whereabouts(frozenset({1}), frozenset({1}), 0.0, {1: []}, ("its stack",))
    link = Link(there)
    watched = Watched(tmp_path, {0: os.getpid()}, link)
    watched.observer.started(0, SimpleNamespace(has_joined=lambda rank: True))
    yield watched, link
    watched.observer.close()


def test_what_another_launcher_knows_follows_the_report_once(two_hosts):
    watched, link = two_hosts
    now_s = time.monotonic()
    for i in range(1, 6):
        watched.observer.tick(now_s + 10.0 * i)
    report, stack = watched.notes
    assert "rank 0 waits in barrier #1 at t.py:5" in report
    assert "  rank 1 (host 1) has not arrived: it has made no collective call yet" in report
    assert stack == "its stack"
    assert link.told[-1]["calls"]["0"][0][2:5] == ["world", 1, "barrier"]


def test_nobody_is_missed_while_a_host_stands_still(two_hosts):
    watched, link = two_hosts
    link.stands_still = True
    for i in range(1, 6):
        watched.observer.tick(time.monotonic() + 10.0 * i)
    assert watched.notes == []


def test_another_attempts_ranks_are_not_missed(two_hosts):
    watched, link = two_hosts
    link.elsewhere[1][1]["restarts"] = 1
    for i in range(1, 6):
        watched.observer.tick(time.monotonic() + 10.0 * i)
    assert watched.notes == []
