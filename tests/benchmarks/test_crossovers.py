"""The table by which collectives choose their way follows from the stored measurement."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import crossovers, ways
from benchmarks.crossovers import Found
from disttorch.comm.algorithms import choice

ROOT = Path(__file__).parent.parent.parent
STORED = crossovers.load(crossovers.STORED)
# A limit in the table is moved by up to a factor of two; then its way is at most so much slower
# than the quickest. Neighbouring ways are alike over a wide range of sizes.
SLACK = 1.25

KB = 1 << 10


def found(*rows: tuple[float, ...]) -> Found:
    return Found(
        "all_reduce",
        "one host",
        2,
        {KB << i: dict(zip(("direct", "streamed", "reach"), row, strict=True))
         for i, row in enumerate(rows)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        (((1, 2, 3), (2, 3, 4)), [(2 * KB, "direct")]),
        (((1, 2, 3), (2, 3, 4), (6, 3, 5), (9, 7, 6)),
         [(2 * KB, "direct"), (4 * KB, "streamed"), (8 * KB, "reach")]),
        # One size at which another way happens to be a little quicker is no crossover.
        (((1, 2, 3), (2.1, 2, 4), (3, 6, 9), (9, 3, 9)),
         [(4 * KB, "direct"), (8 * KB, "streamed")]),
    ],
)  # fmt: skip
def test_crossovers(rows: tuple, best: list) -> None:
    assert list(found(*rows).best()) == best


def test_what_the_table_takes_although_it_is_slow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ((2, (((4 * KB), choice.Way.DIRECT), (8 << 30, choice.Way.STREAMED))),)
    monkeypatch.setitem(choice.SHARED, "all_reduce", rows)
    fits = found((1, 2, 9), (1, 2, 9), (1, 2, 9), (2, 1, 9), (2, 1, 9))
    assert list(crossovers.misplaced(fits, 1.2)) == []
    # The limit may be off by a factor of two, not of four.
    early = found((1, 2, 9), (1, 2, 9), (2, 1, 9), (2, 1, 9), (2, 1, 9))
    assert list(crossovers.misplaced(early, 1.2)) == []
    (told,) = crossovers.misplaced(found((1, 2, 9), (3, 1, 9), (2, 1, 9), (2, 1, 9)), 1.2)
    assert "2048 bytes: the table takes direct, which needs 3.00 times what streamed does" in told


@pytest.mark.parametrize("stored", STORED, ids=lambda stored: "-".join(map(str, stored.key)))
def test_the_table_follows_from_what_is_stored(stored: Found) -> None:
    assert list(crossovers.misplaced(stored, SLACK)) == []


def test_every_case_is_stored() -> None:
    wanted = {(c.collective, c.layout, n) for c in ways.CASES for n in c.n_ranks}
    assert {stored.key for stored in STORED} == wanted


@pytest.mark.parametrize("case", [0, 1, 2, 5, 6, 7, 8], ids=lambda i: str(ways.CASES[i].ways[-1]))
def test_a_job_times_every_way(case: int, tmp_path: Path) -> None:
    found = crossovers.measure(ways.CASES[case], 4, 0.0, most_bytes=64 * KB)
    assert set(found.seconds) == {n for n in ways.CASES[case].sizes if n <= 64 * KB}
    for seconds in found.seconds.values():
        assert set(seconds) == set(ways.CASES[case].ways)
        assert min(seconds.values()) > 0
    path = tmp_path / "found.json"
    crossovers.merge(path, found)
    assert crossovers.merge(path, found) == crossovers.load(path) == [found]


def test_a_rank_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="all_reduce, one host, 2 ranks: a rank failed"):
        crossovers.measure(ways.CASES[0], 2, 0.0, most_bytes=64 * KB)


def test_drawing(tmp_path: Path) -> None:
    """In a process of its own: Matplotlib keeps its fonts open for the life of a process."""
    pytest.importorskip("matplotlib", reason="the dev extra")
    stored = tmp_path / "found.json"
    crossovers.merge(stored, found((1, 2, 3), (2, 3, 1)))
    subprocess.run(
        [sys.executable, "-m", "benchmarks.crossovers", "--draw", "--json", stored],
        cwd=ROOT,
        check=True,
        timeout=50,
    )
    text = stored.with_suffix(".svg").read_text()
    assert all(word in text for word in ("streamed", "all_reduce, one host, 2 ranks", "1 KB"))
