import os

import pytest

from disttorch_launcher.config import (
    LaunchConfig,
    ScriptKind,
    UsageError,
    check_open_files,
    check_script,
    check_system,
)


def refused(script, **more):
    with pytest.raises(UsageError) as error:
        check_script(LaunchConfig(script, **more))
    return str(error.value)


def test_missing_script_names_it_and_the_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused("nothing.py") == (
        f"script not found: nothing.py (working directory: {tmp_path})"
    )


def test_missing_script_suggests_what_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    assert refused("tarin.py").endswith("; did you mean train.py?")
    assert refused("pkg").endswith("; for a module, use -m pkg")


def test_folder_needs_a_main(tmp_path):
    assert refused(str(tmp_path)) == f"script {tmp_path} is a folder without a __main__.py"
    (tmp_path / "__main__.py").touch()
    check_script(LaunchConfig(str(tmp_path)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_script(tmp_path):
    script = tmp_path / "t.py"
    script.touch(mode=0)
    assert "cannot be read" in refused(str(script))


@pytest.mark.parametrize("kind", [ScriptKind.MODULE, ScriptKind.PROGRAM])
def test_modules_and_programs_are_found_by_the_rank(kind):
    check_script(LaunchConfig("not.here", kind=kind))


def test_other_systems_are_refused():
    check_system("linux")
    with pytest.raises(UsageError, match=r"jobs need Linux.*and this is darwin; run the script"):
        check_system("darwin")


@pytest.mark.parametrize("limit", [1024, -1])  # -1: no limit
def test_open_files_that_suffice(limit):
    check_open_files(LaunchConfig("t.py", n_ranks=320), limit)


def test_too_few_open_files():
    with pytest.raises(UsageError) as error:
        check_open_files(LaunchConfig("t.py", n_ranks=400), 1024)
    assert str(error.value) == (
        "400 ranks need 1264 open files, and the limit is 1024; raise it first: ulimit -n 1264"
    )
