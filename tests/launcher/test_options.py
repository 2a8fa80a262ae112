import signal

import pytest

from disttorch_launcher.config import Bind, Hosts, LaunchConfig, LogPlan, ScriptKind, UsageError
from disttorch_launcher.option_table import OPTIONS
from disttorch_launcher.options import parse
from disttorch_launcher.rank_sets import parse_ranks, parse_shown, parse_streams

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
    "--standalone --rdzv-backend=c10d --rdzv_id 7 --monitor-interval 1 t.py": LaunchConfig(
        "t.py", run_id="7"),
    "-t 3 -r 0:1,1:2 --log_dir d --local-ranks-filter 0,2-3 t.py": LaunchConfig(
        "t.py", logs=LogPlan("d", parse_streams("3"), parse_streams("0:1,1:2"),
                             local_filter=parse_ranks("0,2-3"))),
    "--numa-binding exclusive --role trainer t.py": LaunchConfig(
        "t.py", bind=Bind.CORE, role="trainer"),
    "--nnodes 2 --node-rank 1 --master-addr 10.0.0.1 t.py": LaunchConfig(
        "t.py", hosts=Hosts(2, 1, "10.0.0.1", 29500)),
    "--nnodes=2:2 --node_rank=0 --rdzv-endpoint [::1]:99 --key-file k t.py": LaunchConfig(
        "t.py", hosts=Hosts(2, 0, "::1", 99, "k")),
    # ours
    "--log-dir d --show 0-3,8 --no-collapse t.py": LaunchConfig(
        "t.py", logs=LogPlan("d", parse_streams("both"), show=parse_shown("0-3,8"),
                             collapse=False)),
    "--env A=1 --env=B=x=y --bind numa --stall 0 t.py": LaunchConfig(
        "t.py", env=(("A", "1"), ("B", "x=y")), bind=Bind.NUMA, stall_s=0),
    "--signals USR1,SIGTERM t.py": LaunchConfig(
        "t.py", signals=(signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)),
    "--nproc 2 -- t.py --x": LaunchConfig("t.py", ("--x",), n_ranks=2),
    "t.py -- --x": LaunchConfig("t.py", ("--", "--x")),
    "t.py --": LaunchConfig("t.py", ("--",)),
    "t.py a -- b": LaunchConfig("t.py", ("a", "--", "b")),
    "-m pkg -- --help": LaunchConfig("pkg", ("--", "--help"), ScriptKind.MODULE),
}  # fmt: skip


@pytest.mark.parametrize("line", ACCEPTED)
def test_accepted(line):
    assert parse(line.split(), n_cores=4).config == ACCEPTED[line]


REFUSED = {
    "--nproc 0 t.py": "--nproc must be >= 1, auto or gpu, got 0",
    "--nproc -1 t.py": "--nproc must be >= 1, auto or gpu, got -1",
    "--nproc two t.py": "--nproc must be >= 1, auto or gpu, got two",
    "--nproc 9999 t.py": "--nproc must be in 1..1024, got 9999",
    "--grace -1 t.py": "--grace must be a number of seconds >= 0, got -1.0",
    "--grace nan t.py": "--grace must be a number of seconds >= 0, got nan",
    "--grace soon t.py": "--grace must be a number of seconds, got 'soon'",
    "--nproc 2 --grace": "--grace: expected one argument",
    "--no-python=1 t.py": "--no-python: ignored explicit argument '1'",
    "--nproc gpu t.py": "--nproc gpu: no GPU is visible here; see `disttorch doctor`",
    "--tee loud t.py": "--tee must be out, err, both or none, or by ranks as in 0-15:out, "
    "got 'loud': 'loud' is none of out, err, both, none",
    "--show first t.py": "--show must be ranks, as in 0-3,8 or 0:both,all:err, got 'first': "
    "'first' is no rank and no range such as 0-3",
    "--env A t.py": "--env must be NAME=VALUE, got 'A'",
    "--bind socks t.py": "--bind must be none, core or numa, got 'socks'",
    "--signals TERM,FOO t.py": "--signals must name signals, as in INT,TERM,HUP,QUIT,USR1,USR2, "
    "got 'FOO'",
    "--nnodes 1:4 t.py": "--nnodes must be one number >= 1, got 1:4: the number of hosts does "
    "not change while a job runs",
    "--nnodes 2 --rdzv-endpoint a:1 t.py": "--node-rank must say which of the 2 hosts this one "
    "is: 0..2-1",
    "--nnodes 2 --node-rank 2 --rdzv-endpoint a:1 t.py": "--node-rank must be in 0..1, got 2",
    "--nnodes 2 --node-rank 0 --rdzv-endpoint a:x t.py": "the port of --rdzv-endpoint must be in "
    "1..65535, got x",
    "--rdzv-backend etcd t.py": "--rdzv-backend must be static or c10d, got etcd: host 0 serves "
    "the store itself",
    "--timeout 0 t.py": "--timeout must be seconds > 0, got 0.0",
    "--max-restarts -1 t.py": "--max-restarts must be >= 0, got -1",
    "--threads 0 t.py": "--threads must be >= 1, got 0",
    "--nprocs 2 t.py": "unknown option --nprocs; did you mean --nproc?",
    "--nporc=2 t.py": "unknown option --nporc; did you mean --nproc?",
    "--zebra t.py": "unknown option --zebra; see disttorch-launch --help",
    "--nnodes 2 t.py": "several hosts need --rdzv-endpoint HOST:PORT, the address of host 0",
    "-m --no-python t": "-m and --no-python exclude each other: a module needs Python",
    "--nproc 2 ": "no script given: disttorch-launch --nproc N script.py [arguments]",
    "--nproc 2": "no script given: disttorch-launch --nproc N script.py [arguments]",
}


@pytest.mark.parametrize("line", REFUSED)
def test_refused(line, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UsageError) as error:
        parse(line.split(" "), n_cores=4)
    assert str(error.value) == REFUSED[line]


def test_environment_has_torchruns_names():
    environ = {"PET_NPROC_PER_NODE": "3", "PET_MAX_RESTARTS": "2", "PET_STANDALONE": "1"}
    request = parse(["--max-restarts", "1", "t.py"], 4, environ)
    assert request.config == LaunchConfig("t.py", n_ranks=3, max_restarts=1)


def test_what_torchrun_does_and_we_do_not_is_said():
    request = parse(["--duplicate-stdout-filters", "a", "t.py"], 4)
    assert len(request.notes) == 1
    assert "--duplicate-stdout-filters is ignored" in request.notes[0]


TORCHRUN = """--nnodes --nproc-per-node --rdzv-backend --rdzv-endpoint --rdzv-id --rdzv-conf
--standalone --max-restarts --monitor-interval --start-method --event-log-handler --role -m --module
--no-python --run-path --log-dir -r --redirects -t --tee --local-ranks-filter --node-rank
--duplicate-stdout-filters --duplicate-stderr-filters --master-addr --master-port --local-addr
--logs-specs --numa-binding --signals-to-handle --shutdown-timeout --virtual-local-rank"""


@pytest.mark.parametrize("name", TORCHRUN.split())
def test_every_spelling_of_torchrun_is_known(name):
    option = next(o for o in OPTIONS if name in o.names)
    underscored = "--" + name[2:].replace("-", "_") if name.startswith("--") else name
    assert underscored == name or underscored in option.aliases()
