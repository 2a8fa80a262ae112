"""The command line, and one real row measured on disttorch alone."""

import sys

import pytest

from benchmarks import measure, run
from benchmarks.result import load
from benchmarks.rows import ROWS

PYTHON = sys.executable


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["nonsense"], "no such row: nonsense; there are tiny-op"), (["--rounds", "0"], "at least 1")],
)
def test_bad_input(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as caught:
        run.main(arguments)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_one_row_of_each_local_kind(tmp_path, capsys):
    stored = tmp_path / "run.json"
    rows = ["tiny-op", "import-time", "installed-size"]
    status = run.main([*rows, "--only", "disttorch", "--rounds", "2", "--json", str(stored)])
    shown = capsys.readouterr().out
    assert status == 0, shown
    _, results = load(stored)
    assert [result.row for result in results] == rows
    for result in results:
        assert len(result.samples["disttorch"]) == 2
        assert ROWS[result.row].title in shown


def test_absent_library_is_said_and_no_failure(monkeypatch, capsys):
    monkeypatch.setattr(run, "installed", lambda library: library != "torch")
    assert run.main(["import-rss", "--rounds", "1"]) == 0
    assert "skipped: torch is not installed" in capsys.readouterr().out


def test_failing_body_is_reported_with_its_output(monkeypatch, capsys):
    monkeypatch.setattr(run, "installed", lambda library: True)
    monkeypatch.setattr(run, "LIBRARIES", ("no_such_library",))
    assert run.main(["tiny-op", "--rounds", "1"]) == 1
    shown = capsys.readouterr().out
    assert "failed: no_such_library in tiny-op: ended with status 1" in shown
    assert "ModuleNotFoundError" in shown


@pytest.mark.parametrize("row", ["launch", "import-time"])
def test_failing_program_is_reported_with_its_output(row, monkeypatch, capsys):
    monkeypatch.setattr(run, "installed", lambda library: True)
    monkeypatch.setattr(run, "LIBRARIES", ("disttorch.no_such_library",))
    monkeypatch.setattr(measure, "command", lambda library, n_ranks, script: [PYTHON, *script])
    assert run.main([row, "--rounds", "2"]) == 1
    assert "No module named 'disttorch.no_such_library'" in capsys.readouterr().out
