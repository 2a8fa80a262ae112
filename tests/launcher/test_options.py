import pytest

from disttorch_launcher.config import LaunchConfig, ScriptKind, UsageError
from disttorch_launcher.options import parse

ACCEPTED = {
    "train.py": LaunchConfig("train.py"),
    "--nproc 3 train.py": LaunchConfig("train.py", n_ranks=3),
    "--nproc auto train.py": LaunchConfig("train.py", n_ranks=4),
    "--nproc=3 train.py --nproc 5 -m x": LaunchConfig(
        "train.py", ("--nproc", "5", "-m", "x"), n_ranks=3),
    "--nproc 2 -m pkg.train --lr 1": LaunchConfig(
        "pkg.train", ("--lr", "1"), ScriptKind.MODULE, n_ranks=2),
    "--no-python ./run.sh a": LaunchConfig("./run.sh", ("a",), ScriptKind.PROGRAM),
    "--grace 5 --timeout 60 --max-restarts 2 --threads 1 t.py": LaunchConfig(
        "t.py", grace_s=5, timeout_s=60, max_restarts=2, n_threads=1),
    # torchrun's spellings
    "--standalone --nnodes=1 --nproc-per-node=2 t.py": LaunchConfig("t.py", n_ranks=2),
    "--nnodes 1:1 --nproc_per_node 2 --max_restarts 1 t.py": LaunchConfig(
        "t.py", n_ranks=2, max_restarts=1),
    "--nproc 2 -- t.py --x": LaunchConfig("t.py", ("--x",), n_ranks=2),
    "t.py -- --x": LaunchConfig("t.py", ("--", "--x")),
    "t.py --": LaunchConfig("t.py", ("--",)),
    "t.py a -- b": LaunchConfig("t.py", ("a", "--", "b")),
    "-m pkg -- --help": LaunchConfig("pkg", ("--", "--help"), ScriptKind.MODULE),
}  # fmt: skip


@pytest.mark.parametrize("line", ACCEPTED)
def test_accepted(line):
    assert parse(line.split(), n_cores=4) == ACCEPTED[line]


REFUSED = {
    "--nproc 0 t.py": "--nproc must be >= 1 or auto, got 0",
    "--nproc -1 t.py": "--nproc must be >= 1 or auto, got -1",
    "--nproc two t.py": "--nproc must be >= 1 or auto, got two",
    "--nproc 9999 t.py": "--nproc must be in 1..1024, got 9999",
    "--grace -1 t.py": "--grace must be a number of seconds >= 0, got -1.0",
    "--grace nan t.py": "--grace must be a number of seconds >= 0, got nan",
    "--grace soon t.py": "argument --grace/--shutdown-timeout/--shutdown_timeout: "
    "invalid float value: 'soon'",
    "--timeout 0 t.py": "--timeout must be seconds > 0, got 0.0",
    "--max-restarts -1 t.py": "--max-restarts must be >= 0, got -1",
    "--threads 0 t.py": "--threads must be >= 1, got 0",
    "--nprocs 2 t.py": "unknown option --nprocs; did you mean --nproc?",
    "--nporc=2 t.py": "unknown option --nporc; did you mean --nproc?",
    "--zebra t.py": "unknown option --zebra; see disttorch-launch --help",
    "--nnodes 2 t.py": "--nnodes must be 1, got 2: ranks run on one host",
    "-m --no-python t": "-m and --no-python exclude each other: a module needs Python",
    "--nproc 2 ": "no script given: disttorch-launch --nproc N script.py [arguments]",
    "--nproc 2": "no script given: disttorch-launch --nproc N script.py [arguments]",
}


@pytest.mark.parametrize("line", REFUSED)
def test_refused(line):
    with pytest.raises(UsageError) as error:
        parse(line.split(" "), n_cores=4)
    assert str(error.value) == REFUSED[line]
