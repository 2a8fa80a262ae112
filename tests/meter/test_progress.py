import io
import itertools
import re
import sys

import pytest

from disttorch.meter import AverageMeter, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("rank", "show", "lines"), [("0", None, 1), ("1", None, 0), ("1", True, 1), ("0", False, 0)]
)
def test_only_rank_0_draws_unless_told(monkeypatch, rank, show, lines):
    monkeypatch.setenv("RANK", rank)
    out = io.StringIO()
    assert list(progress(range(3), "epoch 1", show=show, file=out)) == [0, 1, 2]
    assert out.getvalue().count("\n") == lines


def test_a_rank_of_a_job_redraws_and_its_launcher_makes_it_a_line(monkeypatch):
    monkeypatch.setenv("DISTTORCH_RUN_DIR", "somewhere")
    out = io.StringIO()
    list(progress(range(2), "x", show=True, file=out))
    assert out.getvalue().startswith("\r")


def test_the_finished_line_counts_and_notes():
    out = io.StringIO()
    list(progress(iter(range(4)), "train", total=4, note=lambda: "loss 0.5", show=True, file=out))
    assert re.fullmatch(r"train \|#{24}\| 4/4 \[[\d.]+/s\]  loss 0.5\n", out.getvalue())


def test_without_a_total_only_the_count_is_shown():
    out = io.StringIO()
    list(progress(iter("ab"), "read", show=True, file=out))
    assert out.getvalue().startswith("read 2 [")


def test_a_terminal_is_redrawn_in_place():
    out = Terminal()
    list(progress(range(2), "x", show=True, file=out))
    assert out.getvalue().startswith("\r")
    assert out.getvalue().count("\n") == 1


def test_average_meter_weighs():
    meter = AverageMeter()
    assert meter.average != meter.average
    meter.update(1.0, n=3)
    meter.update(5.0)
    assert meter.average == 2.0


def test_a_loop_that_is_left_early_ends_its_line():
    out = Terminal()
    for _ in progress(range(5), "x", show=True, file=out):
        break
    assert out.getvalue().endswith("\n")


def test_shorter_lines_blank_longer_ones(monkeypatch):
    monkeypatch.setattr(sys.modules["disttorch.meter.progress"], "_REDRAW_S", 0.0)
    notes = iter(["a long note", "", ""])
    out = Terminal()
    list(progress(range(2), "x", note=lambda: next(notes), show=True, file=out))
    lines = out.getvalue().strip("\r\n").split("\r")
    assert "a long note" in lines[0]
    for before, after in itertools.pairwise(lines):
        assert len(after) >= len(before.rstrip())
