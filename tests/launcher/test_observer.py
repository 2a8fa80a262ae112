import os
import subprocess
import time

import pytest

from disttorch_launcher.observer import Observer
from disttorch_launcher.stacks import stack_file
from disttorch_launcher.stall import Suspicion

STALLED = Suspicion((0,), "all_reduce #1", 10.0, {1: "it is late"}, (1,), ("key",))


class Watched:
    """An observer of ranks with the given pids, and what it sent and said."""

    def __init__(self, folder, pids):
        self.sent, self.notes = [], []
        self.observer = Observer(
            folder, 1.0, pids, lambda ranks, signum: self.sent.append(set(ranks)),
            self.notes.append, lambda rank: {},
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
