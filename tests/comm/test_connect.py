"""Joining: who is missing, who ended first, who cannot be reached."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from disttorch.comm.connect import Address
from disttorch.comm.env import RankEnv, exit_key
from disttorch.comm.errors import DistNetworkError, PeerLostError, StoreTimeoutError
from disttorch.comm.group import ProcessGroup
from disttorch.comm.store import FileStore, HashStore
from disttorch.comm.transport import process
from disttorch.comm.transport.process import ProcessId
from tests.comm.ranks import run_ranks


def test_ranks_that_never_join_are_named() -> None:
    with pytest.raises(StoreTimeoutError, match=r"rank 1: waited 0\.01 s for rank 0, 2 of 3"):
        ProcessGroup.from_env(RankEnv(1, 3), HashStore(), timeout_s=0.01)


def test_a_rank_that_ended_before_joining_is_not_waited_for() -> None:
    store = HashStore()
    store.set(exit_key(0, 1), "exited with code 0")
    with pytest.raises(PeerLostError, match="rank 1 exited with code 0 before it joined"):
        ProcessGroup.from_env(RankEnv(0, 2), store, timeout_s=20)


def test_a_rank_that_dies_while_it_joins_is_lost_and_not_a_lack_of_memory() -> None:
    """It has said where its memory is, and is gone before the others open it."""
    store, current = HashStore(), ProcessId.current()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    store.set("rank/0/1", Address(ProcessId(child, 1, current.host), 3).to_json())
    with pytest.raises(
        PeerLostError, match=rf"rank 1 \(pid {child}\) died while the ranks joined"
    ) as caught:
        ProcessGroup.from_env(RankEnv(0, 2), store, timeout_s=20)
    assert caught.value.ranks == (1,)


@pytest.mark.parametrize("text", ["", "[]", '[1, 2, "h"]', "[null, 0, 0, 0]", "\\xff"])
def test_garbage_in_the_store_is_not_an_address(text: str) -> None:
    store = HashStore()
    store.set("rank/0/1", text)
    with pytest.raises(DistNetworkError, match="not the address of a rank"):
        ProcessGroup.from_env(RankEnv(0, 2), store, timeout_s=20)


@pytest.mark.parametrize("key", ["", "5f" * 32])
def test_ranks_of_several_hosts_talk_over_tcp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """The hosts are one with several names, so the ranks cannot tell."""
    monkeypatch.setenv("DISTTORCH_KEY", key)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")

    def body(outer: ProcessGroup) -> tuple[str, list[float]]:
        monkeypatch.setattr(process, "_host", lambda: f"host {outer.rank}")
        store = FileStore(str(tmp_path / f"store{len(key)}"))
        env = RankEnv(outer.rank, outer.size)
        with ProcessGroup.from_env(env, store, timeout_s=20) as group:
            array = np.full(3, float(group.rank))
            group.all_reduce(array)
            return type(group._mesh).__name__, array.tolist()

    assert run_ranks(3, body) == [("TcpMesh", [3.0, 3.0, 3.0])] * 3
