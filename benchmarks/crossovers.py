"""Which way of a collective is quickest at which size: `python -m benchmarks.crossovers`.

All ways of a collective run side by side in one job and in turn, with rewritten buffers; the figure
of a way is the median over rounds of its slowest rank. Hosts are ranks of this machine that take
themselves to be on two, or each on its own. What is found is merged into a JSON file, case by case,
and drawn beside it as SVG. `disttorch.comm.algorithms.choice` has the limits that follow.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.result import machine
from benchmarks.ways import (
    AS_CHOSEN,
    BY_HOSTS,
    CASES,
    MOVED,
    ONE_HOST,
    REPEATED,
    TCP,
    TWO_HOSTS,
    Case,
    environment,
)
from disttorch.comm.algorithms import choice

STORED = Path(__file__).parent.parent / "docs" / "crossovers.json"
COLOURS = {
    "direct": "#2a7f62", "streamed": "#3b6fb5", "scattered": "#b5523b", "reach": "#8a5fb0",
    "staged": "#2a7f62", "movement": "#2a7f62", BY_HOSTS: "#c28f1c", "ring": "#3b6fb5",
    "pairwise": "#8a5fb0", "halving": "#c28f1c", "doubling": "#777777", "tree": "#b5523b",
    AS_CHOSEN: "#8a5fb0", MOVED: "#2a7f62",
}  # fmt: skip
Seconds = dict[int, dict[str, float]]


@dataclass(frozen=True)
class Found:
    """What one job found: seconds by size and way."""

    collective: str
    layout: str
    n_ranks: int
    seconds: Seconds

    @property
    def key(self) -> tuple[str, str, int]:
        """What was measured."""
        return self.collective, self.layout, self.n_ranks

    def best(self) -> Iterator[tuple[int, str]]:
        """The ways from the smallest size on, each with the last size at which it is quickest.

        Of all orders of ways without return, the one of least time over the sizes, by the
        geometric mean: single sizes at which two ways are alike then do not count as crossovers.
        """
        sizes, ways = sorted(self.seconds), list(self.seconds[min(self.seconds)])
        best: dict[tuple[str, ...], float] = {(): 0.0}
        paths: dict[tuple[str, ...], list[str]] = {(): []}
        for nbytes in sizes:
            nexts: dict[tuple[str, ...], float] = {}
            grown: dict[tuple[str, ...], list[str]] = {}
            for used, cost in best.items():
                for way in ways:
                    if way in used[:-1]:
                        continue
                    now = used if used[-1:] == (way,) else (*used, way)
                    total = cost + math.log(self.seconds[nbytes][way])
                    if total < nexts.get(now, math.inf):
                        nexts[now], grown[now] = total, [*paths[used], way]
            best, paths = nexts, grown
        path = paths[min(best, key=best.__getitem__)]
        for i, nbytes in enumerate(sizes):
            if path[i + 1 : i + 2] != [path[i]]:
                yield nbytes, path[i]


def chosen(collective: str, layout: str, n_ranks: int, nbytes: int) -> str:
    """The way that the committed table takes."""
    hosts = {1: (tuple(range(n_ranks)),), 2: _halves(n_ranks)}.get(1 if layout == ONE_HOST else 2)
    assert hosts
    if layout == TWO_HOSTS and choice.by_hosts(collective, nbytes, hosts):
        return BY_HOSTS
    if layout == TWO_HOSTS and collective not in choice.WIRE:
        return "movement"
    if layout == REPEATED:
        return MOVED if choice.moves(nbytes) else AS_CHOSEN
    shared, apart = layout == ONE_HOST, layout == TCP
    return choice.choose(collective, nbytes, n_ranks, shared=shared, apart=apart).value


def _halves(n_ranks: int) -> tuple[tuple[int, ...], ...]:
    return tuple(range(n_ranks // 2)), tuple(range(n_ranks // 2, n_ranks))


def misplaced(found: Found, slack: float) -> Iterator[str]:
    """Sizes where no limit of the table, moved by a factor of two, gives a way near the best.

    Near is within `slack` of the quickest way's time, such as 1.2.
    """
    for nbytes, seconds in sorted(found.seconds.items()):
        ways = {chosen(*found.key, size) for size in (nbytes // 2, nbytes, 2 * nbytes)}
        way = min(ways, key=seconds.__getitem__)
        quickest = min(seconds, key=seconds.__getitem__)
        if seconds[way] > slack * seconds[quickest]:
            yield (
                f"{found.collective}, {found.layout}, {found.n_ranks} ranks, {nbytes} bytes: the "
                f"table takes {way}, which needs {seconds[way] / seconds[quickest]:.2f} times "
                f"what {quickest} does"
            )


def measure(case: Case, n_ranks: int, seconds: float, *, most_bytes: int = sys.maxsize) -> Found:
    """Run the job of one case, sizes to `most_bytes`; RuntimeError if a rank fails."""
    numbers = (CASES.index(case), seconds, most_bytes)
    key = os.urandom(32).hex()
    with tempfile.TemporaryDirectory(prefix="crossovers") as folder:
        program = [sys.executable, "-m", "benchmarks.ways", *map(str, numbers)]
        ranks = [
            subprocess.Popen(
                [*program, f"{folder}/store"],
                env=os.environ | environment(case.layout, rank, n_ranks)
                | {"RANK": str(rank), "WORLD_SIZE": str(n_ranks), "DISTTORCH_KEY": key,
                   "OMP_NUM_THREADS": "1"},
                cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True,
            )
            for rank in range(n_ranks)
        ]  # fmt: skip
        out = [rank.communicate()[0] for rank in ranks]
    if any(rank.returncode for rank in ranks):
        raise RuntimeError(f"{case.collective}, {case.layout}, {n_ranks} ranks: a rank failed")
    return Found(case.collective, case.layout, n_ranks, dict(map(json.loads, out[0].splitlines())))


def load(path: Path) -> list[Found]:
    """What has been stored; nothing where there is no file."""
    if not path.exists():
        return []
    return [
        Found(**case | {"seconds": {int(size): by for size, by in case["seconds"].items()}})
        for case in json.loads(path.read_text())["cases"]
    ]


def merge(path: Path, new: Found) -> list[Found]:
    """Store `new` in place of what was there for its case; all cases, in the order of `CASES`."""
    kept = {found.key: found for found in load(path)} | {new.key: new}
    order = [(case.collective, case.layout) for case in CASES]
    cases = sorted(kept.values(), key=lambda f: (order.index(f.key[:2]), f.n_ranks))
    text = json.dumps({"machine": machine(), "cases": list(map(asdict, cases))}, indent=1)
    path.write_text(text + "\n")
    return cases


def size_text(nbytes: int) -> str:
    """A size as in the table of limits."""
    return f"{nbytes >> 20} MB" if nbytes >= 1 << 20 else f"{nbytes >> 10} KB"


def summary(found: Found) -> str:
    """One line: the ways in order of size, each with the last size at which it is quickest."""
    parts = [f"{way} to {size_text(nbytes)}" for nbytes, way in found.best()]
    name = f"{found.collective}, {found.layout}, {found.n_ranks} ranks"
    return f"{name:<40}{', '.join(parts)}"


def draw(path: Path, cases: Sequence[Found]) -> None:
    """For each case the time of each way as a multiple of the quickest's, over size."""
    import matplotlib as mpl

    mpl.use("svg")
    # Text as paths looks alike with any fonts; a fixed salt keeps the file the same between runs.
    mpl.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "disttorch"})
    import matplotlib.pyplot as plt

    n_rows = -(-len(cases) // 3)
    figure, grid = plt.subplots(
        n_rows, 3, figsize=(12, 2.6 * n_rows), layout="constrained", squeeze=False
    )
    for axes in grid.flat[len(cases) :]:
        axes.remove()
    for axes, found in zip(grid.flat, cases, strict=False):
        sizes = sorted(found.seconds)
        for way in found.seconds[sizes[0]]:
            ratios = [found.seconds[n][way] / min(found.seconds[n].values()) for n in sizes]
            axes.plot(sizes, ratios, label=way, color=COLOURS[way], marker=".")
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes[::3], [size_text(n) for n in sizes[::3]])
        axes.set_ylim(0.9, 4)
        axes.set_title(f"{found.collective}, {found.layout}, {found.n_ranks} ranks", fontsize=9)
        axes.legend(fontsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("time / time of the quickest way")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the cases that are asked for, print and store what all stored ones say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--collective", choices=sorted({case.collective for case in CASES}))
    parser.add_argument("--layout", choices=sorted({case.layout for case in CASES}))
    parser.add_argument("--ranks", type=int, choices=(2, 4, 8))
    parser.add_argument("--seconds", type=float, default=1.0, help="a size (default: 1)")
    parser.add_argument("--json", type=Path, default=STORED, help="default: docs/crossovers.json")
    parser.add_argument("--draw", action="store_true", help="draw what is stored, measure nothing")
    options = parser.parse_args(arguments)
    for case in () if options.draw else CASES:
        if options.collective in (None, case.collective) and options.layout in (None, case.layout):
            for n_ranks in case.n_ranks:
                if options.ranks in (None, n_ranks):
                    found = measure(case, n_ranks, options.seconds)
                    merge(options.json, found)
                    print(summary(found), flush=True)
    cases = load(options.json)
    if options.draw:
        print("\n".join(map(summary, cases)))
        draw(options.json.with_suffix(".svg"), cases)
    for complaint in (complaint for found in cases for complaint in misplaced(found, 1.2)):
        print(complaint)


if __name__ == "__main__":
    main()
