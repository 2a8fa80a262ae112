"""Which line called: told also where paths cannot be made shorter."""

import os

from disttorch.comm import callsite


def test_the_line_of_this_test() -> None:
    frame = callsite.user_frame()
    assert frame is not None
    assert frame.f_code.co_filename == __file__
    assert callsite.describe(frame).endswith(f"test_callsite.py:{frame.f_lineno}")
    assert callsite.describe(None) == "unknown"


def test_a_working_directory_that_is_gone(tmp_path, monkeypatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    frame = callsite.user_frame()
    assert callsite.describe(frame) == f"{__file__}:{frame.f_lineno}"
