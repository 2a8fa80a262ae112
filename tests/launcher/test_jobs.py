import pytest

from disttorch_launcher import control
from disttorch_launcher.jobs import NoJobError, find_job, launcher_pid


@pytest.fixture
def job(tmp_path, monkeypatch):
    # In place of what XDG_RUNTIME_DIR names, which may be too long for a socket's path.
    monkeypatch.setattr("disttorch_launcher.jobs.choose_base", lambda _: tmp_path)
    folder = tmp_path / "disttorch-4711-abc"
    folder.mkdir()
    return folder


def test_jobs_are_found_by_pid_by_folder_or_as_the_newest(job):
    with pytest.raises(NoJobError, match="no job of yours runs on this host"):
        find_job("")
    (job / control.NAME).touch()
    assert find_job("") == find_job("4711") == find_job(str(job)) == job
    assert launcher_pid(job) == "4711"
    with pytest.raises(NoJobError, match="no job of yours has the launcher 1; there are: 4711"):
        find_job("1")
