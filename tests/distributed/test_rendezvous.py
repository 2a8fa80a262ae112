"""The ways in which ranks that were started by hand find each other."""

import os
import time
from datetime import timedelta

import pytest

import disttorch as torch
import disttorch.distributed as dist
from disttorch.comm.errors import StoreTimeoutError
from tests.comm.ranks import run_ranks

N = 3
RANK_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "DISTTORCH_STORE")


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch):
    for name in RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def port():
    """A port that is free now; a store of another process may only take it in a race."""
    store = dist.TCPStore("localhost", 0, 1, True)
    store.close()
    return store.port


def total(own_rank, **arguments):
    """Join, sum the ranks' numbers, and leave."""
    dist.init_process_group(timeout=timedelta(seconds=30), **arguments)
    t = torch.tensor([float(dist.get_rank() + 1)])
    dist.all_reduce(t)
    assert dist.get_rank() == own_rank and dist.is_initialized()
    dist.destroy_process_group()
    assert not dist.is_initialized()
    return t.item()


def test_by_tcp(port):
    def body(group):
        url = f"tcp://localhost:{port}"
        return total(group.rank, init_method=url, rank=group.rank, world_size=N)

    assert run_ranks(N, body) == [6.0] * N


def test_by_tcp_with_the_rank_in_the_url(port):
    def body(group):
        url = f"tcp://127.0.0.1:{port}?rank={group.rank}&world_size={N}"
        return total(group.rank, init_method=url)

    assert run_ranks(N, body) == [6.0] * N


def test_by_tcp_with_a_key(port):
    def body(group):
        os.environ["DISTTORCH_KEY"] = "5f" * 32
        url = f"tcp://127.0.0.1:{port}"
        return total(group.rank, init_method=url, rank=group.rank, world_size=N)

    assert run_ranks(N, body) == [6.0] * N


def test_by_file_again_and_again(tmp_path):
    def body(group):
        url = f"file://{tmp_path}/meet"
        totals = []
        for _ in range(2):
            totals.append(total(group.rank, init_method=url, rank=group.rank, world_size=N))
            # The last to leave removes the file, and none may come before that.
            group.barrier()
        return totals

    assert run_ranks(N, body) == [[6.0, 6.0]] * N
    assert not (tmp_path / "meet").exists()


def test_by_environment_with_the_rank_given(port):
    def body(group):
        os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port))
        return total(group.rank, rank=group.rank, world_size=N)

    assert run_ranks(N, body) == [6.0] * N


def test_by_environment(port):
    def body(group):
        os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port), WORLD_SIZE=str(N))
        os.environ["RANK"] = str(group.rank)
        return total(group.rank, backend="zmq")

    assert run_ranks(N, body) == [6.0] * N


def test_by_a_store(tmp_path):
    def body(group):
        file = dist.FileStore(str(tmp_path / "store"), N)
        store = dist.PrefixStore("job", file)
        got = total(group.rank, store=store, rank=group.rank, world_size=N)
        group.barrier()
        file.close()
        return got

    assert run_ranks(N, body) == [6.0] * N


def test_ranks_that_do_not_come_are_named(tmp_path):
    with pytest.raises(StoreTimeoutError, match="rank 1, 2 of 3 to call init_process_group"):
        dist.init_process_group(
            init_method=f"file://{tmp_path}/meet", rank=0, world_size=3, timeout=0.2
        )
    assert not dist.is_initialized()


def test_a_store_that_goes_ends_the_wait_for_ranks(port):
    def body(group):
        if group.rank == 0:
            store = dist.TCPStore("localhost", port, None, True)
            store.wait(["rank/0/1"])
            store.close()
            return None
        started_s = time.monotonic()
        with pytest.raises(dist.DistStoreError, match="lost the connection to the store"):
            dist.init_process_group(
                init_method=f"tcp://localhost:{port}", rank=1, world_size=2, timeout=30
            )
        return time.monotonic() - started_s

    assert run_ranks(2, body)[1] < 5.0


def test_rendezvous_gives_the_store():
    store, rank, world_size = next(dist.rendezvous("tcp://localhost:0?rank=0&world_size=2"))
    assert (rank, world_size, isinstance(store, dist.TCPStore)) == (0, 2, True)
    store.close()


def test_the_local_rank(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(RuntimeError, match="LOCAL_RANK is not in the environment"):
        dist.get_node_local_rank()
    assert dist.get_node_local_rank(4) == 4
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert dist.get_node_local_rank(4) == 2


def test_subgroups():
    def body(group):
        from disttorch.distributed.world import _World

        _World.group = group
        pair, everyone = dist.new_subgroups(2)
        t = torch.tensor([float(dist.get_rank())])
        dist.all_reduce(t, group=pair)
        own, made = dist.new_subgroups_by_enumeration([[0, 3], [1, 2]])
        u = torch.tensor([float(dist.get_rank())])
        dist.all_reduce(u, group=own)
        half = dist.split_group(split_ranks=[[0, 1], [2, 3]])
        out = t.item(), dist.get_process_group_ranks(own), u.item(), half.size
        n_groups = len(everyone), len(made), dist.get_pg_count()
        for refused, text in (
            (lambda: dist.new_subgroups(3), "must be divisible by 'group_size=3'"),
            (lambda: dist.new_subgroups(5), "must not exceed the world size"),
            (lambda: dist.new_subgroups_by_enumeration([[0, 1], [1]]), "Rank 1 has appeared"),
            (lambda: dist.new_group([0, 9]), "Rank 9 is out of range"),
        ):
            with pytest.raises(ValueError, match=text):
                refused()
        _World.group = None
        return out, n_groups

    results = run_ranks(4, body)
    assert [result[0] for result in results] == [
        (1.0, [0, 3], 3.0, 2),
        (1.0, [1, 2], 3.0, 2),
        (5.0, [1, 2], 3.0, 2),
        (5.0, [0, 3], 3.0, 2),
    ]
    assert results[0][1] == (2, 2, 4)
