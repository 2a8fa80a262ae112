"""The rank's environment: round trip and errors."""

import pytest

from disttorch.comm.env import RankEnv, exit_key
from disttorch.comm.errors import RankEnvError

FULL = RankEnv(
    rank=3,
    world_size=4,
    local_rank=1,
    local_world_size=2,
    group_rank=1,
    group_world_size=2,
    role_rank=3,
    role_name="trainer",
    role_world_size=4,
    master_addr="127.0.0.1",
    master_port=29500,
    restart_count=2,
    max_restarts=5,
    run_id="run7",
    error_file="/tmp/error.json",
    store="ipc:///tmp/x/store.sock",
    run_dir="/tmp/x",
    timeout_s=12.5,
    num_threads=2,
)


@pytest.mark.parametrize("env", [FULL, RankEnv(0, 1), RankEnv(1, 2, role_rank=1)])
def test_round_trip(env: RankEnv) -> None:
    assert RankEnv.from_environ(env.to_environ()) == env


def test_names_are_torchruns() -> None:
    environ = FULL.to_environ()
    assert environ["RANK"] == "3"
    assert environ["TORCHELASTIC_RUN_ID"] == "run7"
    assert environ["DISTTORCH_TIMEOUT_S"] == "12.5"
    assert "OMP_NUM_THREADS" not in RankEnv(0, 1).to_environ()


def test_defaults_for_ranks_started_by_hand() -> None:
    env = RankEnv.from_environ({"RANK": "1", "WORLD_SIZE": "3"})
    assert (env.local_rank, env.local_world_size, env.timeout_s) == (1, 3, 300.0)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "environment variable RANK expected, but not set.*disttorch-launch"),
        ({"RANK": "0"}, "environment variable WORLD_SIZE expected"),
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK must be an integer, got 'x'"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, r"RANK must be in 0\.\.1, got 2"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "WORLD_SIZE must be at least 1"),
        ({"RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": "a"}, "MASTER_PORT must be an integer"),
        ({"RANK": "0", "WORLD_SIZE": "1", "DISTTORCH_TIMEOUT_S": "nan"}, "must be above 0"),
        ({"RANK": "0", "WORLD_SIZE": "1", "DISTTORCH_TIMEOUT_S": "1m"}, "must be a number"),
    ],
)
def test_bad_environment(environ: dict[str, str], message: str) -> None:
    with pytest.raises(RankEnvError, match=message):
        RankEnv.from_environ(environ)


def test_exit_key_is_per_restart_and_rank() -> None:
    assert len({exit_key(attempt, rank) for attempt in (0, 1) for rank in (0, 1)}) == 4
