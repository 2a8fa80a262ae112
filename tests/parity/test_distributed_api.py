"""Public corners of torch.distributed under gloo and here: two ranks each, one table."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.parity import distributed_api as api
from tests.parity.distributed_programs import PROGRAMS

pytestmark = [pytest.mark.parity, pytest.mark.timeout(180)]
pytest.importorskip("torch", reason="PyTorch is the oracle")
N = 2

OURS = {
    "handles: d.all_reduce(v(3), async_op=True).get_future().then(lambda x: 1 / 0).wait()": (
        "the error itself, which can be caught by its kind"
    ),
    "groups: next(d.rendezvous('mine://there?rank=1', world_size=3))[1:]": (
        "what the URL does not say may be an argument"
    ),
    "meshes: repr(mesh(n))": "the ranks rather than their strides",
    "meshes: repr(named(1, n))": "without strides",
    "meshes: str(named(1, n)['b'])": "without strides",
    "meshes: d.DeviceMesh('cpu', [0, 0])": "ValueError, on ranks that are not in it, too",
}
OTHER_WORDS = {
    *("methods: W.no_such_thing", "methods: opts('Allreduce', rootRank=1)"),
    *("methods: d.reduce_op.NONE", "groups: d.new_group(backend='mpi') and 0"),
    *("groups: d.BackendConfig('cpu:gloo,cpu:gloo')", "groups: d.BackendConfig('cpu:gloo:x')"),
}


def ranks_of(library, path):
    """What the ranks of a library answer to the whole table."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.parity.distributed_api", library]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(N), str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for rank in range(N)
    ]
    ended = [rank.communicate(timeout=150) for rank in ranks]
    for rank, (_, texts) in zip(ranks, ended, strict=True):
        assert rank.returncode == 0, texts.decode()
    return [json.loads(out.decode().splitlines()[-1]) for out, _ in ended]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    return ranks_of("disttorch", folder / "ours"), ranks_of("torch", folder / "theirs")


def alike(mine, theirs, other_words=False):
    """Equal values, or an error of PyTorch's kind that begins with PyTorch's words."""
    if not isinstance(theirs, dict) or "raises" not in theirs:
        return mine == theirs
    if not isinstance(mine, dict) or theirs["raises"][0] not in mine.get("raises", ()):
        return False
    return other_words or mine["text"].startswith(theirs["text"].rstrip(". "))


CALLS = [f"{name}: {call}" for name, calls in api.tables().items() for call in calls]
CALLS += [f"signature: {name}" for name in api.PUBLIC]


def test_every_expression_is_there_once():
    assert len(CALLS) == len(set(CALLS)) and len(CALLS) > 250
    assert set(CALLS) >= {*OURS, *OTHER_WORDS}


@pytest.mark.parametrize("call", [call for call in CALLS if call not in OURS])
def test_call(answers, call):
    for mine, theirs in zip(*answers, strict=True):
        assert alike(mine[call], theirs[call], call in OTHER_WORDS), (mine[call], theirs[call])


@pytest.mark.parametrize("call", OURS)
def test_calls_that_are_told_apart_do_differ(answers, call):
    assert not all(alike(m[call], t[call]) for m, t in zip(*answers, strict=True))


def leaves(value):
    return [x for part in value for x in leaves(part)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("program", [program.__name__ for program in PROGRAMS])
def test_program(answers, program):
    for mine, theirs in zip(*answers, strict=True):
        got, want = (leaves(answer[f"program: {program}"]) for answer in (mine, theirs))
        assert len(want) > 0
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)
