import json

from disttorch_launcher import report_file
from disttorch_launcher.failures import JobEnd
from disttorch_launcher.outcome import ErrorRecord, RankExit

BOOM = ErrorRecord(5, "ValueError", "boom", "Traceback ...\nValueError: boom\n", "t.py:3")
END = JobEnd(
    [RankExit(1, 1, 9, record=BOOM), RankExit(0, -15, 10, stopped=True)], 1, killed=frozenset({0})
)


def test_report_is_the_screens_as_values(tmp_path):
    assert report_file.write(tmp_path, END, "job", 2) == ""
    found = json.loads((tmp_path / "report.json").read_text())
    assert (found["exit_status"], found["restarts"], found["needed_sigkill"]) == (1, 2, [0])
    assert found["first_cause"]["rank"] == 1
    assert found["first_cause"]["exception"]["traceback"].endswith("ValueError: boom\n")
    assert [rank["is_consequence"] for rank in found["ranks"]] == [True, False]
    assert "first cause: rank 1" in found["text"]
    error = json.loads((tmp_path / "attempt_2" / "1" / "error.json").read_text())
    assert error["exception"]["location"] == "t.py:3"


def test_folder_that_is_gone(tmp_path):
    told = report_file.write(tmp_path / "gone", END, "job", 0)
    assert told == f"the report cannot be written to {tmp_path / 'gone'}: No such file or directory"
