"""all_reduce against MPICH through mpi4py: `python -m benchmarks.mpich`.

Two ranks under MPICH's own mpiexec do both in the same processes, in turn, with rewritten buffers;
medians of the slower rank. Needs mpi4py and mpich, both on PyPI, and says so without. `--json FILE`
keeps the figures.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.crossovers import size_text
from benchmarks.interleave import interleaved, rounds_within, slowest
from benchmarks.measure import WARM_UP_STEPS

SIZES = (1 << 10, 64 << 10, 1 << 20, 25 << 20, 100 << 20)
LEAST_ROUNDS, MOST_ROUNDS = 7, 300
ABSENT = "skipped: MPICH is not here; `pip install mpi4py mpich` brings it"


def mpiexec() -> str | None:
    """MPICH's launcher, that of this environment first; None where it or mpi4py is missing."""
    if importlib.util.find_spec("mpi4py") is None:
        return None
    return shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def rank_main(store: str, seconds: float) -> None:
    """Measure as one of the ranks that mpiexec started; rank 0 prints the figures."""
    from mpi4py import MPI

    import disttorch.distributed as dist

    world = MPI.COMM_WORLD
    dist.init_process_group(
        init_method=f"file://{store}", rank=world.rank, world_size=world.size, timeout=60
    )
    group = dist.group.WORLD
    assert group is not None
    rows = []
    for nbytes in SIZES:
        # Each has an array of its own, since disttorch moves one that comes again and again.
        ours, theirs = np.empty(nbytes // 4, np.float32), np.empty(nbytes // 4, np.float32)
        ways = {
            "disttorch": partial(group.all_reduce, ours),
            "mpich": partial(world.Allreduce, MPI.IN_PLACE, theirs),
        }
        prepare = partial(_fill, ours, theirs)
        for array, reduce in zip((ours, theirs), ways.values(), strict=True):
            array.fill(1 + world.rank)
            reduce()
            assert array[0] == array[-1] == 3
        interleaved(ways, prepare, group.barrier, WARM_UP_STEPS)
        first = interleaved(ways, prepare, group.barrier, 1)
        round_s = max(group.all_gather_object(sum(map(sum, first.values()))))
        rounds = rounds_within(seconds, round_s, LEAST_ROUNDS, MOST_ROUNDS)
        taken = interleaved(ways, prepare, group.barrier, rounds)
        rows.append({"nbytes": nbytes, **slowest(group.all_gather_object(taken))})
    if world.rank == 0:
        version = MPI.Get_library_version().split("\n")[0].expandtabs(1)
        print(json.dumps({"version": version, "rows": rows}), flush=True)
    dist.destroy_process_group()


def _fill(*arrays: np.ndarray) -> None:
    for array in arrays:
        array.fill(1)


def main(arguments: list[str] | None = None) -> None:
    """Start both ranks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="a size (default: 3)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.store:
        rank_main(options.store, options.seconds)
        return
    launcher = mpiexec()
    if launcher is None:
        print(ABSENT)
        return
    with tempfile.TemporaryDirectory(prefix="mpich") as folder:
        program = [sys.executable, "-m", "benchmarks.mpich", "--store", f"{folder}/store"]
        run = subprocess.run(
            [launcher, "-n", "2", *program, "--seconds", str(options.seconds)],
            cwd=Path(__file__).parent.parent, env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    found = json.loads(run.stdout.splitlines()[-1])
    print(f"all_reduce of float32, 2 ranks, {found['version']}")
    for row in found["rows"]:
        print(
            f"{size_text(row['nbytes']):>8}  disttorch {1e3 * row['disttorch']:9.3f} ms  MPICH "
            f"{1e3 * row['mpich']:9.3f} ms  MPICH / disttorch "
            f"{row['mpich'] / row['disttorch']:.2f}x"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
