"""The page on which each rank says what it does, as the launcher and survivors read it."""

from __future__ import annotations

import errno
import os
import signal
import timeit
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from disttorch.comm import status
from disttorch.comm.env import RankEnv
from disttorch.comm.errors import PeerLostError
from disttorch.comm.group import ProcessGroup
from disttorch.comm.header import Call, EncodedCall
from disttorch.comm.status import StatusPage, dump_text, find_stall, page_path, read
from tests.comm.ranks import outcomes_of, run_ranks


def call(operation: str = "all_reduce", site: str = "train.py:7") -> EncodedCall:
    return EncodedCall(Call(operation, "SUM", "float32", (3, 4), -1, site))


def pages_of(tmp_path, calls):
    """Pages of ranks, each told of its calls: (operation, sequence, whether it has ended)."""
    job = {}
    for rank, made in enumerate(calls):
        page = StatusPage(rank, page_path(str(tmp_path), 0, rank))
        for operation, sequence, ended in made:
            ticket = page.begin(sequence, call(operation), "world")
            if ended:
                page.end(ticket)
        job[rank] = read(page_path(str(tmp_path), 0, rank))
    return job


def test_a_page_tells_what_was_called_and_when(tmp_path):
    page = StatusPage(5, str(tmp_path / "page"))
    before_s = monotonic()
    page.end(page.begin(1, call(), "world"))
    page.begin(2, call("barrier"), "world/0,2")
    first, second = read(str(tmp_path / "page"))
    assert first.describe() == "all_reduce #1 of float32 (3, 4) at train.py:7"
    assert (first.rank, first.group, first.under_way) == (5, "world", False)
    assert before_s <= first.begun_s <= first.ended_s <= second.begun_s <= monotonic()
    assert (second.group, second.under_way) == ("world/0,2", True)
    assert oct(os.stat(tmp_path / "page").st_mode & 0o777) == "0o600"


def test_the_ring_holds_the_latest_calls():
    page, again = StatusPage(0), call()
    for sequence in range(1, status.RING_RECORDS + 11):
        page.end(page.begin(sequence, again, "world"))
    records = page.records()
    assert len(records) == status.RING_RECORDS >= 1000
    assert [r.sequence for r in records] == list(range(11, status.RING_RECORDS + 11))


def test_a_call_whose_description_was_overwritten_is_described_anew():
    page, first = StatusPage(0), call(site="first.py:1")
    page.begin(1, first, "world")
    for i in range(status.N_ENTRIES):
        page.begin(2 + i, call(site=f"other.py:{i}"), "world")
    assert page.records()[0].operation == "a call whose description was overwritten"
    page.begin(1000, first, "world")
    assert page.records()[-1].site == "first.py:1"


def test_long_names_are_cut():
    page = StatusPage(0)
    page.begin(1, call(site="/" + "d" * 5000 + "/train.py:7"), "world/" + "1," * 4000)
    (record,) = page.records()
    assert record.site.startswith("...") and record.site.endswith("d/train.py:7")


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 400_000])
def test_garbage_is_no_page(tmp_path, content):
    (tmp_path / "page").write_bytes(content)
    assert read(str(tmp_path / "page")) == []


def test_no_page_has_no_records(tmp_path):
    assert read(str(tmp_path / "none")) == []


BARRIER_1, REDUCE_2 = ("barrier", 1, True), ("all_reduce", 2, False)
# name: (calls of each rank, (operation, waiting, missing) of the stall)
STALLS = {
    "one rank is late": ([[BARRIER_1, REDUCE_2], [BARRIER_1]], ("all_reduce", (0,), (1,))),
    "one rank never came": ([[REDUCE_2], [REDUCE_2], []], ("all_reduce", (0, 1), (2,))),
    "nobody waits": ([[BARRIER_1], [BARRIER_1]], None),
    "all have arrived": ([[REDUCE_2], [REDUCE_2]], None),
    "a message is no collective": ([[("recv from rank 1", 0, False)], []], None),
}


@pytest.mark.parametrize("name", STALLS)
def test_stall(tmp_path, name):
    calls, expected = STALLS[name]
    stall = find_stall(pages_of(tmp_path, calls), monotonic())
    found = stall and (stall.record.operation, stall.waiting, stall.missing)
    assert found == expected


def test_a_stall_in_words(tmp_path):
    job = pages_of(tmp_path, [[BARRIER_1, REDUCE_2], [BARRIER_1]])
    stall = find_stall(job, job[0][-1].begun_s + 12.0)
    assert stall.lines() == [
        "rank 0 has waited 12.0 s in all_reduce #2 of float32 (3, 4) at train.py:7",
        "rank 1 has not arrived: its last call was barrier #1 of float32 (3, 4) at train.py:7",
    ]


def test_a_group_records_its_calls():
    def body(group):
        group.all_reduce(np.ones(3))
        if group.rank == 0:
            group.send(np.ones(2), 1)
        else:
            group.recv(np.ones(2))
        group.new_group([0, 1]).barrier()
        return [(r.group, r.operation, r.sequence, r.under_way) for r in group.page.records()]

    zero, one = run_ranks(2, body)
    assert zero[0] == one[0] == ("world", "all_reduce", 1, False)
    assert zero[1][1:] == ("send to rank 1", 0, False)
    assert one[1][1:] == ("recv from any rank", 0, False)
    assert zero[-1] == ("world/0,1", "barrier", 1, False)


def test_a_failure_leaves_the_records_in_the_run_directory(tmp_path):
    def body(group):
        path = page_path(str(tmp_path), 0, group.rank)
        own = group.page = StatusPage(group.rank, path)
        group._mesh.record(own, "world")
        group.barrier()
        if group.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        with pytest.raises(PeerLostError):
            group.all_reduce(np.ones(3))

    survivor, _ = outcomes_of(2, body)
    assert survivor.error is None, survivor.trace
    text = (tmp_path / "collectives-0-0.txt").read_text()
    assert text.startswith("rank 0: PeerLostError: rank 0: rank 1 (pid")
    assert "all_reduce #2 of float64 (3,) at" in text and "under way" in text
    # The rank that was killed could not write, but its page has survived it.
    assert [r.operation for r in read(page_path(str(tmp_path), 0, 1))] == ["barrier"]


def test_a_run_directory_gets_a_page(tmp_path):
    group = ProcessGroup.from_env(RankEnv(0, 1, run_dir=str(tmp_path), restart_count=2))
    group.barrier()
    assert [r.operation for r in read(page_path(str(tmp_path), 2, 0))] == ["barrier"]
    group.close()


def test_the_table_for_people():
    page = StatusPage(0)
    page.end(page.begin(1, call(), "world"))
    title, row = dump_text(page.records(), monotonic()).splitlines()
    assert title.split()[:2] == ["ago", "s"]
    assert row.endswith("world            all_reduce #1 of float32 (3, 4) at train.py:7")


def test_recording_costs_little_beside_a_collective():
    page, again = StatusPage(0), call()
    cost_s = min(timeit.repeat(lambda: page.end(page.begin(1, again, "world")), number=2000)) / 2000
    # 0.4 us on the machine it was written on; the bound leaves room for a busy one.
    assert cost_s < 3e-6


def test_full_disk_names_the_file_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    text = "No space left on device for the job's run directory"
    with pytest.raises(OSError, match=text):
        status.StatusPage(0, str(tmp_path / "status-0-0"))
