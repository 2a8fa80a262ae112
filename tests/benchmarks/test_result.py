"""Figures as users read them."""

import dataclasses

import pytest

from benchmarks.result import (
    Result,
    load,
    markdown_table,
    quantity,
    renewed,
    save,
    text_table,
)

BOTH = Result("tiny-op", "x * y", "s", {"torch": [4e-6, 9e-6, 5e-6], "disttorch": [2e-6]}, {})
ALONE = Result("import-rss", "memory", "B", {"disttorch": [33e6]}, {"torch": "not installed"})
SHARE = Result("share", "of the memory's speed", "%", {"torch": [20], "disttorch": [80]}, {})


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "-"),
        (2.345, "s", "2.35 s"),
        (0.01234, "s", "12.3 ms"),
        (1e-3, "s", "1.00 ms"),
        (123.4e-6, "s", "123 us"),
        (8e-8, "s", "0.08 us"),
        (88.25e6, "B", "88.2 MB"),
        (1234e6, "B", "1,234 MB"),
        (2e5, "B", "0.20 MB"),
        (43.21, "%", "43.2 %"),
        (0.5, "%", "0.50 %"),
    ],
)
def test_quantity(value, unit, text):
    assert quantity(value, unit) == text


@pytest.mark.parametrize(
    ("result", "theirs", "ours", "ratio"),
    [(BOTH, 5e-6, 2e-6, 2.5), (ALONE, None, 33e6, None), (SHARE, 20, 80, None)],
)
def test_medians_and_ratio(result, theirs, ours, ratio):
    assert (result.typical("torch"), result.typical("disttorch")) == (theirs, ours)
    assert result.ratio == (None if ratio is None else pytest.approx(ratio))


def test_tables_hold_the_same_cells():
    cells = ["x * y", "5.00 us", "2.00 us", "2.50x", "memory", "-", "33.0 MB", "-"]
    for table in (text_table([BOTH, ALONE]), markdown_table([BOTH, ALONE])):
        position = 0
        for cell in cells:
            position = table.index(cell, position) + len(cell)


def test_stored_results_come_back(tmp_path):
    save(tmp_path / "new" / "run.json", [BOTH, ALONE])
    machine, results = load(tmp_path / "new" / "run.json")
    assert results == [BOTH, ALONE]
    assert {"date", "processor", "python", "torch", "disttorch"} <= machine.keys()


def test_rows_measured_again_replace_theirs(tmp_path):
    path = tmp_path / "run.json"
    save(path, [BOTH, ALONE])
    again = dataclasses.replace(ALONE, samples={"disttorch": [1.0]})
    order = [ALONE.row, "never measured", BOTH.row]
    assert renewed(path, [again], order) == [again, BOTH]
    path.write_text(path.read_text().replace('"processor": "', '"processor": "another '))
    with pytest.raises(ValueError, match="another machine"):
        renewed(path, [again], order)
