"""What once blocked for ever, or longer than its deadline: callbacks, threads, locks, forks."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from disttorch.comm import join_tcp, peers, status
from disttorch.comm.collectives import allocate
from disttorch.comm.deadline import Deadline
from disttorch.comm.env import RankEnv, exit_key
from disttorch.comm.errors import PeerLostError, SharedMemoryError, StoreTimeoutError
from disttorch.comm.group import ProcessGroup
from disttorch.comm.status import StatusPage
from disttorch.comm.store import FileStore
from disttorch.comm.transport.arena import Condition
from disttorch.comm.transport.process import ProcessId, ProcessWatch, _start_ticks
from disttorch.comm.transport.waiting import wait_until
from disttorch.comm.work import Runner, Work
from tests.comm import ranks
from tests.comm.ranks import outcomes_of, run_ranks

pytestmark = pytest.mark.fault

PATIENCE_S = 10.0


@pytest.mark.parametrize("transport", ["", "tcp"])
def test_a_callback_of_a_message_may_send_and_receive(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTTORCH_TRANSPORT", transport)

    def body(group: ProcessGroup) -> float:
        peer, there, back = 1 - group.rank, np.zeros(3), np.zeros(3)

        def answer(_: object) -> None:
            group.send(there + 1, peer, tag=1)

        future = group.irecv(there, peer).get_future()
        answered = future.then(answer)
        group.send(np.full(3, 1.0 + group.rank), peer)
        group.recv(back, peer, tag=1)
        answered.wait()
        return back[0]

    assert run_ranks(2, body, timeout_s=PATIENCE_S) == [2.0, 3.0]


def test_a_callback_that_exits_ends_its_operation_and_no_more() -> None:
    runner = Runner("callbacks that exit")
    works, go = [Work("first"), Work("second"), Work("third")], threading.Event()
    works[0].get_future().add_done_callback(lambda _: sys.exit(3))
    works[1].get_future().set_result("of somebody else")
    runner.submit(lambda: (go.wait(PATIENCE_S), None)[1], works[0])
    for work in works[1:]:
        runner.submit(lambda: None, work)
    go.set()
    with pytest.raises(SystemExit):
        works[0].wait(PATIENCE_S)
    with pytest.raises(RuntimeError, match="completed Future"):
        works[1].wait(PATIENCE_S)
    assert works[2].wait(PATIENCE_S)
    assert runner.n_unfinished == 0
    assert runner.close()


def test_an_operation_that_exits_does_not_pass_for_success() -> None:
    runner, work = Runner("operations that exit"), Work("exits")
    future = work.get_future()
    runner.submit(lambda: sys.exit(3), work)
    with pytest.raises(SystemExit):
        work.wait(PATIENCE_S)
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        future.wait()
    assert runner.close()


def test_a_thread_that_cannot_be_started_is_an_error_and_may_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    runner = Runner("no thread")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            runner.submit(lambda: None, Work("too many"))
    assert runner.n_unfinished == 0
    work = Work("later")
    runner.submit(lambda: None, work)
    assert work.wait(PATIENCE_S)
    assert runner.close()


def test_an_error_in_the_background_keeps_no_memory_alive() -> None:
    """Freed by reference counts alone: the error's traceback holds frames, and these the group."""
    import gc
    import weakref

    class Held:
        pass

    def failing(held: Held) -> None:
        raise ArithmeticError

    runner, held = Runner("errors"), Held()
    gone = weakref.ref(held)
    gc.disable()
    try:
        works = [Work("fails")]
        runner.submit(lambda held=held: failing(held), works[0])
        del held
        with pytest.raises(ArithmeticError):
            works.pop().wait(PATIENCE_S)
        assert runner.close()
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("call", ["allocate", "new_group"])
def test_a_rank_that_leaves_between_two_steps_is_lost_and_not_a_lack_of_memory(call: str) -> None:
    def body(group: ProcessGroup) -> None:
        mesh = group._mesh
        if group.rank == 1:
            group.barrier()
            wait_for, second = mesh.wait_for, mesh.sequence + 2

            def interrupted(*args: object, **options: object) -> None:
                # The second step is posted, and waited for.
                if mesh.sequence == second:
                    raise KeyboardInterrupt
                wait_for(*args, **options)

            mesh.wait_for = interrupted
        else:
            module = allocate if call == "allocate" else peers
            map_peer = module.map_peer

            def late(*args: object, **options: object) -> object:
                wait_until(
                    lambda: mesh.pages[1].condition()[0] is not Condition.ACTIVE,
                    Deadline.after(PATIENCE_S),
                    lambda: None,
                    eager=False,
                )
                return map_peer(*args, **options)

            module.map_peer = late
            group.barrier()
        if call == "allocate":
            group.allocate(1000)
        else:
            group.new_group([0, 1])

    survivor, victim = outcomes_of(2, body)
    assert isinstance(victim.error, KeyboardInterrupt), victim.trace
    assert isinstance(survivor.error, PeerLostError), survivor.trace
    assert "rank 1" in str(survivor.error)


@pytest.mark.parametrize("transport", ["", "tcp"])
def test_memory_that_one_rank_lacks_is_an_error_on_all(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTTORCH_TRANSPORT", transport)
    nbytes = 1 << 30

    def body(group: ProcessGroup) -> str:
        group.barrier()
        if group.rank == 1:
            with open("/proc/self/statm") as pages:
                used = int(pages.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + nbytes // 2, resource.RLIM_INFINITY))
        with pytest.raises(SharedMemoryError) as caught:
            group.allocate(nbytes)
        group.barrier()
        return str(caught.value)

    texts = run_ranks(2, body)
    assert texts[0] == texts[1]
    assert "rank 1: no " in texts[0]


@pytest.mark.parametrize(("victim", "where"), [(0, "key"), (1, "port"), (1, "connection")])
def test_a_rank_that_dies_while_ranks_of_several_hosts_join_is_lost_at_once(
    victim: int, where: str, tmp_path: Path
) -> None:
    def body(outer: ProcessGroup) -> float:
        os.environ["DISTTORCH_TRANSPORT"] = "tcp"
        store = FileStore(f"{tmp_path}/store")

        def die(*_: object, **__: object) -> None:
            # What the launcher does when it has seen the end of a rank.
            store.set(exit_key(0, victim), "was killed")
            os.kill(os.getpid(), signal.SIGKILL)

        if outer.rank == victim:
            owner, name = {
                "key": (join_tcp.JobKey, "new"),
                "port": (join_tcp, "Wire"),
                "connection": (join_tcp, "link"),
            }[where]
            setattr(owner, name, die)
        outer.barrier()
        began_s = time.monotonic()
        with pytest.raises(PeerLostError, match=f"rank {victim}") as caught:
            ProcessGroup.from_env(RankEnv(outer.rank, 2), store, PATIENCE_S)
        assert caught.value.ranks == (victim,)
        return time.monotonic() - began_s

    survivor = outcomes_of(2, body)[1 - victim]
    assert survivor.error is None, survivor.trace
    assert survivor.result < 1.0


def test_a_child_of_a_rank_does_not_keep_it_connected_when_it_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of DataLoader workers: a rank's sockets are theirs too, and the peers saw no end of it."""
    monkeypatch.setattr(ranks, "hosts", "ab")
    read_end, write_end = os.pipe()

    def body(group: ProcessGroup) -> float:
        group.barrier()
        if group.rank == 1:
            if os.fork() == 0:
                for fd in map(int, os.listdir("/proc/self/fd")):
                    with suppress(OSError):
                        if fd != read_end and os.readlink(f"/proc/self/fd/{fd}").startswith("pipe"):
                            os.close(fd)
                os.read(read_end, 1)
                os._exit(0)
            group.recv(np.empty(1), 0)
            os.kill(os.getpid(), signal.SIGKILL)
        group.send(np.ones(1), 1)
        began_s = time.monotonic()
        with pytest.raises(PeerLostError, match="rank 1"):
            group.barrier(timeout_s=PATIENCE_S)
        return time.monotonic() - began_s

    try:
        survivor, _ = outcomes_of(2, body)
    finally:
        os.close(write_end)
        os.close(read_end)
    assert survivor.error is None, survivor.trace
    assert survivor.result < 1.0


def test_a_process_without_descriptors_left_takes_nobody_for_dead() -> None:
    with subprocess.Popen(["sleep", "60"]) as peer:
        try:
            found = ProcessId(peer.pid, _start_ticks(peer.pid), ProcessId.current().host)
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
            try:
                watch = ProcessWatch({1: found})
                seen = [watch.ended() for _ in range(3)]
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            assert seen == [set()] * 3
        finally:
            peer.kill()
        peer.wait()
        assert watch.ended() == {1}
        watch.close()


def test_the_report_of_an_error_takes_every_text(tmp_path: Path) -> None:
    page = StatusPage(0, str(tmp_path / "status-0-0"))
    status.dump(page, "no such file: \udcff")
    assert r"\udcff" in (tmp_path / "collectives-0-0.txt").read_text()


def test_a_store_whose_lock_is_held_by_a_stopped_process_is_an_error_in_time(
    tmp_path: Path,
) -> None:
    store = FileStore(f"{tmp_path}/store", timeout_s=0.1)
    store.set("key", "value")
    with open(f"{tmp_path}/store") as held:
        # As a process does that was stopped in the middle of a call.
        fcntl.flock(held, fcntl.LOCK_EX)
        for call in (lambda: store.set("key", "other"), lambda: store.get("key", 0.0)):
            began_s = time.monotonic()
            with pytest.raises(StoreTimeoutError, match="locked by another process"):
                call()
            assert time.monotonic() - began_s < 3.0
    assert store.get("key") == b"value"
    store.close()
