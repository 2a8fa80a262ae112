"""torch.distributed under gloo and disttorch, two ranks each, answer the same table of calls."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

import disttorch
import disttorch.distributed as dist
from disttorch.distributed.world import _World
from tests.comm.ranks import run_ranks
from tests.parity import distributed_calls as calls
from tests.parity import distributed_errors as errors
from tests.parity import distributed_training as training

pytestmark = [pytest.mark.parity, pytest.mark.timeout(180)]
pytest.importorskip("torch", reason="PyTorch is the oracle")

# Where disttorch does more than gloo, or says earlier and more plainly what is wrong.
LEFT_OPEN = {
    "movements: all_gather_into_tensor stacked",  # documented, and done by NCCL, but not by gloo
    "gradients: reduce",  # gloo leaves partial sums on the ranks that get no result
    "gradients: reduce twice",  # the same
    "refusals: foreign rank",  # ValueError before anything is sent
    "refusals: empty batch",  # "list index out of range"
    "refusals: group rank",  # gloo takes any number for the default group
    "refusals: global rank",  # the same
}


@pytest.fixture(scope="module")
def pytorchs(tmp_path_factory):
    """What two ranks of PyTorch's answer to all tables."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.parity.distributed_oracle"]
    # Once in a while a process of gloo dies of a call that it has refused.
    for _ in range(3):
        path = tmp_path_factory.mktemp("gloo") / "store"
        ranks = [
            subprocess.Popen(
                [*command, str(rank), str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for rank in range(2)
        ]
        ended = [rank.communicate(timeout=120) for rank in ranks]
        if not any(rank.returncode for rank in ranks):
            return [json.loads(out.decode().splitlines()[-1]) for out, _ in ended]
    raise AssertionError("\n".join(texts.decode() for _, texts in ended))


@pytest.fixture(scope="module")
def ours():
    def body(group):
        _World.group = dist.GroupMember.WORLD = dist.group.WORLD = group
        return json.loads(json.dumps(calls.answers(disttorch, dist, group.rank)))

    return run_ranks(2, body)


def part_of(pytorchs, name):
    return [answers[name] for answers in pytorchs]


def names():
    return [f"{t.__name__}: {n}" for t in calls.TABLES for n in t(disttorch, dist, 0)]


def agree(mine, theirs):
    """Equal values, or an error that whoever catches PyTorch's kind of error catches as well."""
    if isinstance(theirs, dict):
        return isinstance(mine, dict) and theirs["raises"][0] in mine["raises"]
    return mine == theirs


@pytest.mark.parametrize("name", names())
def test_call(ours, pytorchs, name):
    for mine, theirs in zip(ours, part_of(pytorchs, "calls"), strict=True):
        if name not in LEFT_OPEN:
            assert agree(mine[name], theirs[name]), (mine[name], theirs[name])


# Calls with more to say, or more to do, than under gloo.
OURS = {
    "d.get_global_rank(d.group.WORLD, 0)": "before init there is no rank to translate",
    "d.init_process_group('gloo', 'env://', store=d.HashStore(), rank=0, world_size=1)": (
        "ValueError for both arguments, not AssertionError"
    ),
    "d.init_process_group('gloo', timeout=5)": "seconds are taken as well as a timedelta",
    "d.init_process_group('pigeon')": "no launcher is needed, so the call above has joined",
    "wrap(t.nn.Linear(1, 1))": "the same",
    "d.all_reduce(z(2).to(t.complex64), d.ReduceOp.PRODUCT)": "products of complex numbers",
    "d.broadcast(z(2), '0')": "no rank of the group, not a wrong type",
    "d.all_to_all_single(z(3), z(3))": "gloo drops what does not divide",
    "d.isend(z(2), r)": "as send() says it",
    "d.all_gather_object([None] * 2, lambda: 0)": "cloudpickle takes functions",
    "d.broadcast_object_list('text', src=0)": "gloo broadcasts to nowhere",
    "d.broadcast_object_list([1, 2])": "a source must be named",
    "d.new_group('01')": "which comparison fails",
    "d.new_group([])": "ValueError that says what is wrong",
    "d.new_group([0], backend='pigeon')": "ValueError, as from init_process_group",
    "d.new_group([0], timeout=5)": "seconds",
    "d.get_group_rank(d.group.WORLD, 5)": "gloo takes any number for the default group",
    "d.monitored_barrier(timeout=5)": "seconds",
    "d.all_reduce_coalesced(z(2))": "a list is needed",
    "d.get_process_group_ranks(only_0)": "this rank is no member",
    "d.broadcast(z(2), 1, group=only_0)": "which is not asked on a rank outside of the group",
    "d.all_reduce(z(2), async_op=True).wait(5)": "seconds",
    "d.all_gather_into_tensor(z(4), z(2) + r, async_op=True).get_future().wait()": (
        "the output, not parts of it"
    ),
    "d.reduce_scatter(z(2), [z(2), z(2)], async_op=True).get_future().wait()": "has a future",
    "d.reduce_scatter_tensor(z(2), z(4), async_op=True).get_future().wait()": "has a future",
    "d.ReduceOp('SUM')": "ValueError, as of all enumerations",
    "d.group.WORLD.name()": "the name is an attribute",
    "wrap(t.nn.Linear(1, 1), process_group=5)": "as other calls say it",
    "wrap(t.nn.Linear(1, 1), mixed_precision=5)": "AttributeError of the dtype that is read first",
}
# Texts of gloo's C++ are not compared.
IN_OTHER_WORDS = ("ProcessGroupGloo", "incompatible function arguments", "Check failed")
ALSO_IN_OTHER_WORDS = {
    "d.gather(z(2), [z(2), z(2)], dst=5)",
    "d.scatter(z(2), [z(2), z(2)], src=5)",
    "d.reduce_scatter(z(2), [z(2)])",
    "d.get_rank('x')",
    "wrap(t.nn.Linear(1, 1), device_mesh=mesh(2, 1))",
}


@pytest.fixture(scope="module")
def our_errors():
    def body(group):
        with warnings.catch_warnings(action="ignore"):
            space = errors.names(disttorch, dist, group.rank())
            before = errors.answers(errors.WITHOUT_A_GROUP, space)
            if dist.is_initialized():
                dist.destroy_process_group()
            _World.group = dist.GroupMember.WORLD = dist.group.WORLD = group
            _World.backend = "gloo"
            space["only_0"] = dist.new_group([0])
            return before | errors.answers(errors.WITH_A_GROUP, space, dist.barrier)

    return run_ranks(2, body)


def said(mine, theirs):
    """Equal values, or an error of PyTorch's kind that begins with PyTorch's words."""
    if not isinstance(theirs, dict):
        return mine == theirs
    if not isinstance(mine, dict) or theirs["raises"][0] not in mine["raises"]:
        return False
    text = theirs["text"].partition(" <torch.")[0].rstrip(". ")
    return any(part in text for part in IN_OTHER_WORDS) or mine["text"].startswith(text)


CALLS = (errors.WITHOUT_A_GROUP + errors.WITH_A_GROUP).split("\n")


@pytest.mark.parametrize("call", [c for c in CALLS if c and c not in OURS])
def test_wrong_call(our_errors, pytorchs, call):
    for mine, theirs in zip(our_errors, part_of(pytorchs, "errors"), strict=True):
        if call in ALSO_IN_OTHER_WORDS:
            assert theirs[call]["raises"][0] in mine[call]["raises"]
        else:
            assert said(mine[call], theirs[call]), (mine[call], theirs[call])


@pytest.mark.parametrize("call", OURS)
def test_calls_that_are_told_apart_do_differ(our_errors, pytorchs, call):
    pairs = zip(our_errors, part_of(pytorchs, "errors"), strict=True)
    assert not all(said(mine[call], theirs[call]) for mine, theirs in pairs)


# ---- training ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def our_training():
    def body(group):
        _World.group = dist.GroupMember.WORLD = dist.group.WORLD = group
        return {
            name: training.trained(disttorch, group.rank, run)
            for name, run in training.RUNS.items()
        }

    return run_ranks(2, body)


# Sixteen bits that round the other way now and then.
ROUNDED = {"bfloat16": 0.05, "fp16 hook": 2e-3}


# PyTorch's ranks without data step their share with stale gradients; here the share of the state
# changes nothing.
PEERS = {"uneven, zero": "uneven, adam"}
# PyTorch's ranks have their own buffers until the next forward pass makes them rank 0's.
OF_RANK_0 = {"batch norm", "batch norm, rows as the rank"}


@pytest.mark.parametrize("name", training.RUNS)
def test_twenty_steps(our_training, pytorchs, name):
    rtol = ROUNDED.get(name, 1e-3)
    theirs = [answers[PEERS.get(name, name)] for answers in part_of(pytorchs, "training")]
    for rank, (ours, peer) in enumerate(zip(our_training, theirs, strict=True)):
        mine = ours[name]
        assert mine["keys"] == peer["keys"]
        np.testing.assert_allclose(mine["losses"], peer["losses"], rtol, rtol / 10)
        state = theirs[0 if name in OF_RANK_0 else rank]["state"]
        for own, other in zip(mine["state"], state, strict=True):
            np.testing.assert_allclose(own, other, rtol, rtol / 10)
    first, second = our_training
    if name != "batch norm, own buffers":
        assert first[name]["state"] == second[name]["state"]
