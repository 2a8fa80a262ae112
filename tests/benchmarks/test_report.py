"""The README's table is replaced in place, the drawing is the same for the same figures."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import BEGIN, END, FIRST, HEADLINES, README, first_table, with_table
from benchmarks.result import Result, load
from benchmarks.rows import ROWS

ROOT = Path(__file__).parent.parent.parent
MACHINE = dict.fromkeys(("processor", "date", "python", "torch", "numpy"), "7")
RESULTS = [
    Result("a", "first", "s", {"torch": [3.0], "disttorch": [1.0]}, {}),
    Result("b", "second", "s", {"torch": [1.0], "disttorch": [2.0]}, {}),
    Result("c", "third", "s", {"disttorch": [2.0]}, {"torch": "not installed"}),
]


def test_table_replaces_what_is_between_the_markers():
    once = with_table(f"before\n{BEGIN}\nold\n{END}\nafter\n", MACHINE, RESULTS)
    assert once.startswith(f"before\n{BEGIN}\n| ")
    assert once.endswith(f"{END}\nafter\n")
    assert "old" not in once
    assert "| first | 3.00 s | 1.00 s | 3.00x |" in once
    assert with_table(once, MACHINE, RESULTS) == once


@pytest.mark.parametrize("readme", ["", BEGIN, f"{END} {BEGIN}"])
def test_markers_are_needed(readme):
    with pytest.raises(ValueError, match="benchmarks: begin"):
        with_table(readme, MACHINE, RESULTS)


def test_headlines_are_rows():
    assert set(ROWS) >= HEADLINES >= set(FIRST)


def test_readme_begins_with_ratios_of_its_table():
    text = README.read_text()
    stored = Path(ROOT, "docs", "benchmarks.json")
    table = first_table(load(stored)[1])
    assert table.count("x**") == len(FIRST)
    assert table in text[: text.index(BEGIN)]


DRAW = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from benchmarks.report import draw
from tests.benchmarks.test_report import RESULTS
draw(Path(sys.argv[2]), RESULTS)
"""


def test_drawing(tmp_path):
    """In processes of its own: Matplotlib keeps its fonts open for the life of a process."""
    pytest.importorskip("matplotlib", reason="the dev extra")
    for name in ("one.svg", "two.svg"):
        subprocess.run([sys.executable, "-c", DRAW, ROOT, tmp_path / name], check=True, timeout=50)
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    assert all(word in text for word in ("first", "second", "3.00x", "0.50x"))
    assert "third" not in text
