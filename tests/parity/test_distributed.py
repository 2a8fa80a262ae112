"""torch.distributed under gloo and disttorch, two ranks each, answer the same table of calls."""

import json
import subprocess
import sys

import pytest

import disttorch
import disttorch.distributed as dist
from disttorch.distributed.world import _World
from tests.comm.ranks import run_ranks
from tests.parity import distributed_calls as calls

pytestmark = pytest.mark.parity
pytest.importorskip("torch", reason="PyTorch is the oracle")

# Where disttorch does more than gloo, or says earlier and more plainly what is wrong.
LEFT_OPEN = {
    "movements: all_gather_into_tensor stacked",  # documented, and done by NCCL, but not by gloo
    "gradients: reduce",  # gloo leaves partial sums on the ranks that get no result
    "refusals: foreign rank",  # ValueError before anything is sent
    "refusals: empty batch",  # "list index out of range"
    "refusals: group rank",  # gloo takes any number for the default group
    "refusals: global rank",  # the same
}


@pytest.fixture(scope="module")
def pytorchs(tmp_path_factory):
    path = tmp_path_factory.mktemp("gloo") / "store"
    command = [sys.executable, "-W", "ignore", "-m", "tests.parity.distributed_calls"]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for rank in range(2)
    ]
    ended = [rank.communicate(timeout=120) for rank in ranks]
    for rank, (_, errors) in zip(ranks, ended, strict=True):
        assert rank.returncode == 0, errors.decode()
    return [json.loads(out.decode().splitlines()[-1]) for out, _ in ended]


@pytest.fixture(scope="module")
def ours():
    def body(group):
        _World.group = dist.GroupMember.WORLD = dist.group.WORLD = group
        return json.loads(json.dumps(calls.answers(disttorch, dist, group.rank)))

    return run_ranks(2, body)


def names():
    return [f"{t.__name__}: {n}" for t in calls.TABLES for n in t(disttorch, dist, 0)]


def agree(mine, theirs):
    """Equal values, or an error that whoever catches PyTorch's kind of error catches as well."""
    if isinstance(theirs, dict):
        return isinstance(mine, dict) and theirs["raises"][0] in mine["raises"]
    return mine == theirs


@pytest.mark.parametrize("name", names())
def test_call(ours, pytorchs, name):
    for mine, theirs in zip(ours, pytorchs, strict=True):
        if name not in LEFT_OPEN:
            assert agree(mine[name], theirs[name]), (mine[name], theirs[name])
