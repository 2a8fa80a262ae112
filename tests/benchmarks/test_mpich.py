"""The comparison with MPICH runs where MPICH is, and says so where it is not."""

import json

import pytest

from benchmarks import mpich


def test_absence_is_said_and_no_failure(monkeypatch, capsys):
    monkeypatch.setattr(mpich.importlib.util, "find_spec", lambda name: None)
    mpich.main([])
    assert capsys.readouterr().out.strip() == mpich.ABSENT


@pytest.mark.skipif(mpich.mpiexec() is None, reason="mpi4py or mpich is not installed")
def test_both_are_timed(tmp_path, capsys):
    stored = tmp_path / "mpich.json"
    mpich.main(["--seconds", "0.01", "--json", str(stored)])
    rows = json.loads(stored.read_text())["rows"]
    assert [row["nbytes"] for row in rows] == list(mpich.SIZES)
    assert all(row["disttorch"] > 0 and row["mpich"] > 0 for row in rows)
    assert "100 MB  disttorch" in capsys.readouterr().out
