"""Ranks that are real scripts: what the others hear when one of them ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from disttorch.comm.env import RankEnv
from disttorch.comm.store import StoreServer

SCRIPT = """
import os, sys
import numpy as np
from disttorch.comm.env import RankEnv
from disttorch.comm.group import ProcessGroup
from disttorch.comm.store import ZmqStore

env = RankEnv.from_environ(os.environ)
group = ProcessGroup.from_env(env, ZmqStore(env.store))
assert "cloudpickle" not in sys.modules
group.all_reduce(np.zeros(3))
if env.rank == 1:
    {end}
group.all_reduce(np.zeros(3), async_op={in_background}){wait}
"""

ENDS = {
    "sys.exit(3)": (3, "exited without joining (its script returned or called sys.exit)"),
    "raise KeyError('sample 7')": (1, "raised KeyError: 'sample 7'"),
    "os._exit(4)": (4, "died (killed or crashed)"),
    "os.abort()": (-6, "died (killed or crashed)"),
}


def run_scripts(directory: Path, script: str) -> list[tuple[int, str]]:
    """Exit codes and stderr of two ranks."""
    directory.chmod(0o700)
    with StoreServer(f"ipc://{directory}/store.sock") as server:
        server.start()
        ranks = [
            subprocess.Popen(
                [sys.executable, "-c", script],
                env=RankEnv(rank, 2, store=server.address, timeout_s=30.0).to_environ(),
                stderr=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[2],
            )
            for rank in range(2)
        ]
        ended = [(rank.communicate(timeout=50)[1], rank.returncode) for rank in ranks]
    return [(code, text) for text, code in ended]


@pytest.mark.parametrize("end", ENDS)
def test_how_a_script_ended_is_told_to_those_who_wait(tmp_path: Path, end: str) -> None:
    code, words = ENDS[end]
    script = SCRIPT.format(end=end, in_background=False, wait="")
    (survivor, message), (victim, _) = run_scripts(tmp_path, script)
    assert (survivor, victim) == (1, code)
    assert "PeerLostError: rank 0: rank 1 (pid" in message
    assert words in message
    assert "Rank 0 waited in all_reduce #2 at <string>:14" in message


def test_scripts_that_never_close_their_group_end_at_once(tmp_path: Path) -> None:
    script = SCRIPT.format(end="pass", in_background=True, wait=".wait()")
    assert run_scripts(tmp_path, script) == [(0, ""), (0, "")]
