"""All four stores answer as PyTorch's: values, errors, time-outs, prefixes in prefixes."""

import os
import pickle
import subprocess
import sys

import pytest

import disttorch.distributed as ours
from tests.parity import store_calls

pytestmark = pytest.mark.parity
pytest.importorskip("torch", reason="PyTorch is the oracle")

# Where PyTorch's store of a kind loses its connection, counts itself, reads past a list, or has no
# clones of its own.
OURS = {
    "s.set('big', b'x' * 10_000_000); len(s.get('big'))": {"tcp"},
    "s.set('n', 'text'); s.add('n', 1)": {"tcp"},
    "s.wait([b'\\xff'], short)": {"tcp"},
    "s.wait([b'\\xff'])": {"tcp"},
    "s.multi_set(['a'], ['1', '2'])": {"file", "hashed", "prefixed"},
    "s.has_extended_api()": {"file"},
    "d.PrefixStore('p', s).clone().set_timeout(short * 3); s.timeout": {"hashed", "prefixed"},
    "s.clone().set_timeout(short * 3); s.timeout": {"hashed", "prefixed"},
    "s.num_keys(); s.set('k', ''); s.set('l', ''); s.set('k', 'x'); s.delete_key('l'); "
    "s.num_keys()": {"file"},
    "s.delete_key('k'); s.set('k', ''); s.delete_key('k'); s.check(['k']); s.delete_key('k')": {
        "file"
    },
}


def agree(mine, theirs):
    """Equal values, or an error that whoever catches PyTorch's kind of error catches as well."""
    if isinstance(theirs, dict):
        return isinstance(mine, dict) and theirs["raises"][0] in mine["raises"]
    return mine == theirs


@pytest.fixture(scope="module")
def pytorchs(tmp_path_factory):
    """PyTorch's answers, from a process of its own, whose stores' threads end with it."""
    folder = tmp_path_factory.mktemp("stores")
    out = folder / "answers"
    command = [sys.executable, "-W", "ignore", "-m", "tests.parity.store_calls", folder, out]
    subprocess.run(
        command, check=True, timeout=100, env=os.environ | {"TORCH_CPP_LOG_LEVEL": "ERROR"}
    )
    return pickle.loads(out.read_bytes())


@pytest.mark.parametrize("kind", store_calls.KINDS, ids=lambda kind: kind.__name__)
def test_calls(kind, pytorchs, tmp_path):
    wrong = []
    for number, line in enumerate(store_calls.lines_of(kind)):
        if kind.__name__ in OURS.get(line, ()):
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        store = kind(ours, folder)
        mine, other = store_calls.answers(ours, store, line), pytorchs[kind.__name__, line]
        store.close()
        if len(mine) != len(other) or not all(map(agree, mine, other)):
            wrong.append(f"{line}\n    ours: {mine}\n    PyTorch's: {other}")
    assert not wrong, "\n".join(wrong)
