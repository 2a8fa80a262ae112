import errno
import os

import pytest

from disttorch.comm.header import Call, EncodedCall
from disttorch.comm.status import StatusPage, page_path
from disttorch_launcher.config import LogPlan
from disttorch_launcher.log_files import LogFiles, make_folder
from disttorch_launcher.rank_sets import parse_ranks, parse_shown, parse_streams
from disttorch_launcher.ranks import assign_ranks

SLOTS = assign_ranks([2], 0)


def read(folder):
    files = [path for path in folder.rglob("*.log")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_bytes_are_kept_as_they_are(tmp_path):
    plan = LogPlan(str(tmp_path), tee=parse_streams("out"), redirect=parse_streams("1:err"))
    files = LogFiles(plan, make_folder(plan, "job"), SLOTS)
    assert files.open_attempt(0) == ""
    for rank in (0, 1):
        for stream in (1, 2):
            assert files.write(rank, stream, b"\xff\r%d%d" % (rank, stream)) == ""
    shown = [(r, s) for r in (0, 1) for s in (1, 2) if files.shown(r, s)]
    files.close()
    assert shown == [(0, 1), (0, 2), (1, 1)]
    assert read(tmp_path / "job") == {
        "attempt_0/0/stdout.log": b"\xff\r01",
        "attempt_0/1/stdout.log": b"\xff\r11",
        "attempt_0/1/stderr.log": b"\xff\r12",
    }


def test_filters_keep_the_screen_small():
    files = LogFiles(LogPlan(show=parse_shown("1:err")), None, SLOTS)
    assert [(r, s) for r in (0, 1) for s in (1, 2) if files.shown(r, s)] == [(1, 2)]
    files = LogFiles(LogPlan(local_filter=parse_ranks("0")), None, assign_ranks([2, 2], 1))
    assert [r for r in (2, 3) if files.shown(r, 1)] == [2]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_disk_is_told_once_and_sends_the_output_to_the_screen(tmp_path):
    plan = LogPlan(str(tmp_path), redirect=parse_streams("both"))
    (tmp_path / "job" / "attempt_0" / "0").mkdir(parents=True)
    (tmp_path / "job" / "attempt_0" / "0" / "stdout.log").symlink_to("/dev/full")
    files = LogFiles(plan, make_folder(plan, "job"), SLOTS)
    files.open_attempt(0)
    assert not files.shown(0, 1)
    told = files.write(0, 1, b"x")
    reason = os.strerror(errno.ENOSPC)
    assert told == f"stdout.log of rank 0 ends here: {reason}; its output goes to the screen"
    assert files.shown(0, 1) and files.write(0, 1, b"y") == ""
    files.close()


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"--log-dir .*file: Not a directory; name a folder"):
        make_folder(LogPlan(str(tmp_path / "file")), "job")


def test_the_latest_calls_of_a_failed_attempt_are_kept(tmp_path):
    calls = [EncodedCall(Call(name, "SUM", "float32", (3,), -1, "t.py:4")) for name in ("a", "b")]
    page = StatusPage(1, page_path(str(tmp_path), 2, 1))
    page.end(page.begin(1, calls[0], "world"))
    page.begin(2, calls[1], "world")
    plan = LogPlan(str(tmp_path / "logs"), tee=parse_streams("out"))
    files = LogFiles(plan, make_folder(plan, "job"), SLOTS)
    assert files.keep_collectives(tmp_path, 2) == ""
    kept = tmp_path / "logs" / "job" / "attempt_2"
    assert os.listdir(kept) == ["1"]  # the other has called nothing
    lines = (kept / "1" / "collectives.txt").read_text().splitlines()
    assert lines[0] == "rank 1" and lines[2].endswith("a #1 of float32 (3,) at t.py:4")
    assert "under way" in lines[3] and lines[3].endswith("b #2 of float32 (3,) at t.py:4")
    (kept / "1" / "collectives.txt").unlink()
    (kept / "1" / "collectives.txt").mkdir()
    assert "cannot be written: Is a directory" in files.keep_collectives(tmp_path, 2)
    assert LogFiles(LogPlan(), None, SLOTS).keep_collectives(tmp_path, 2) == ""
