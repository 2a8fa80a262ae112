from dataclasses import replace

import pytest

from disttorch.comm.env import RankEnv
from disttorch_launcher.ranks import JobEnv, RankSlot, assign_ranks, error_file, rank_environ

JOB = JobEnv("id", "/run/x", "ipc:///run/x/s", 60.0, max_restarts=2, restart_count=1, n_threads=3)


@pytest.mark.parametrize(
    ("hosts", "host", "ranks", "local"),
    [([2], 0, [0, 1], [0, 1]), ([2, 3], 1, [2, 3, 4], [0, 1, 2]), ([1, 1, 1], 2, [2], [0])],
)
def test_ranks_are_counted_host_after_host(hosts, host, ranks, local):
    slots = assign_ranks(hosts, host)
    assert [slot.rank for slot in slots] == ranks
    assert [slot.local_rank for slot in slots] == local
    assert {
        (s.world_size, s.local_world_size, s.group_rank, s.group_world_size) for s in slots
    } == {(sum(hosts), hosts[host], host, len(hosts))}


def test_what_a_rank_reads_is_what_was_meant():
    slot = RankSlot(
        rank=5, local_rank=1, world_size=6, local_world_size=2, group_rank=2, group_world_size=3
    )
    environ = rank_environ(slot, JOB, {})
    env = RankEnv.from_environ(environ)
    assert (env.rank, env.local_rank, env.world_size, env.local_world_size) == (5, 1, 6, 2)
    assert (env.group_rank, env.group_world_size) == (2, 3)
    assert (env.role_rank, env.role_world_size) == (5, 6)
    assert (env.restart_count, env.max_restarts, env.run_id) == (1, 2, "id")
    assert (env.store, env.run_dir, env.timeout_s) == (JOB.store, JOB.run_dir, 60.0)
    assert env.error_file == error_file(JOB, 5) == "/run/x/error-1-5.json"
    assert env.num_threads == int(environ["OMP_NUM_THREADS"]) == 3
    assert environ["MASTER_ADDR"] == "127.0.0.1"


SLOT = assign_ranks([1], 0)[0]


@pytest.mark.parametrize(("keep", "mkl"), [(True, "7"), (False, "3")])
def test_the_users_thread_variables_stay_unless_threads_were_asked_for(keep, mkl):
    job = replace(JOB, keep_threads=keep)
    environ = rank_environ(SLOT, job, {"MKL_NUM_THREADS": "7"})
    assert (environ["MKL_NUM_THREADS"], environ["OPENBLAS_NUM_THREADS"]) == (mkl, "3")


@pytest.mark.parametrize(("outer", "port"), [("1234", "1234"), ("", "29500"), ("http", "29500")])
def test_master_port_is_the_users_if_it_is_one(outer, port):
    assert rank_environ(SLOT, JOB, {"MASTER_PORT": outer})["MASTER_PORT"] == port


def test_openmps_list_of_threads_does_not_matter_to_ours():
    environ = rank_environ(SLOT, JOB, {"OMP_NUM_THREADS": "4,2"})
    assert environ["OMP_NUM_THREADS"] == "4,2"
    assert RankEnv.from_environ(environ).num_threads == 3
