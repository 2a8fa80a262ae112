import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from disttorch_launcher import run_directory
from disttorch_launcher.run_directory import (
    MAKING_S,
    MAX_BASE_NBYTES,
    PREFIX,
    RunDirectory,
    choose_base,
    sweep,
)


@pytest.fixture
def base(tmp_path):
    return tmp_path


def test_is_private_and_goes_away(base):
    directory = RunDirectory.create(base)
    assert directory.path.stat().st_mode & 0o777 == 0o700
    (directory.path / "store.sock").touch()
    (directory.path / "folder").mkdir()
    directory.remove()
    directory.remove()
    assert list(base.iterdir()) == []


def test_sweep_spares_the_living(base):
    directory = RunDirectory.create(base)
    assert sweep(base) == []
    directory.unlock()
    assert sweep(base) == [directory.path]
    assert list(base.iterdir()) == []


def test_sweep_removes_what_a_killed_job_left(base):
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from disttorch_launcher.run_directory import RunDirectory;"
        "RunDirectory.create(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(base)], check=False, timeout=20)
    (left,) = base.iterdir()
    assert sweep(base) == [left]


def test_sweep_spares_one_being_made_and_strangers(base):
    making = base / f"{PREFIX}new"
    making.mkdir()
    (base / "other").mkdir()
    (base / f"{PREFIX}file").touch()
    (base / f"{PREFIX}link").symlink_to(base / "other")
    assert sweep(base) == []
    old_s = time.time() - 2 * MAKING_S
    os.utime(making, (old_s, old_s))
    assert sweep(base) == [making]


def test_the_longest_base_has_room_for_a_socket():
    base = Path("/" + "x" * (MAX_BASE_NBYTES - 1))
    longest = base / f"{PREFIX}4194304-01234567" / "store-1000.sock"
    assert len(os.fsencode(longest)) <= 107


def test_base_is_where_sockets_fit(tmp_path):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    short = str(tmp_path)[:60] if len(str(tmp_path)) <= 60 else "/tmp"
    assert str(choose_base({"XDG_RUNTIME_DIR": short})) == short
    for unusable in (str(long), "relative", "/not/there", ""):
        assert str(choose_base({"XDG_RUNTIME_DIR": unusable, "TMPDIR": unusable})) == "/tmp"


def test_base_is_where_others_cannot_rename_what_is_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(run_directory, "MAX_BASE_NBYTES", 4096)
    for mode, chosen in ((0o777, "/tmp"), (0o1777, str(tmp_path)), (0o700, str(tmp_path))):
        tmp_path.chmod(mode)
        assert str(choose_base({"XDG_RUNTIME_DIR": str(tmp_path)})) == chosen
