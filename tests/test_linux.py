"""Python built against an old C library: what it leaves out of `os` is called all the same."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys

import pytest

from disttorch import linux
from disttorch.comm.errors import SharedMemoryError
from disttorch.comm.transport.segment import Segment

# What conda's Python, and uv's until 2026, do not have.
MISSING = """
import fcntl, os
for module, names in (
    (os, ("memfd_create", "pidfd_open", "MFD_CLOEXEC", "MFD_ALLOW_SEALING")),
    (fcntl, ("F_ADD_SEALS", "F_SEAL_SHRINK", "F_SEAL_GROW")),
):
    for name in names:
        vars(module).pop(name, None)
"""
SCRIPT = """
import os
import disttorch as torch
import disttorch.distributed as dist

assert not hasattr(os, "memfd_create") and not hasattr(os, "pidfd_open")
dist.init_process_group()
total = torch.ones(3_000_000)
dist.all_reduce(total)
assert total.eq(2).all()
shared = torch.ones(3).share_memory_()
assert shared.is_shared()
"""


@pytest.fixture(params=["of Python", "of the C library"])
def _calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "of the C library":
        monkeypatch.delattr(os, "memfd_create")
        monkeypatch.delattr(os, "pidfd_open")


@pytest.mark.usefixtures("_calls")
def test_anonymous_files() -> None:
    assert linux.has_memfd()
    fd = linux.memfd_create("disttorch-test")
    try:
        assert os.write(fd, b"abc") == 3
        assert os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:disttorch-test")
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        linux.memfd_create("disttorch-test", 1 << 30)


@pytest.mark.usefixtures("_calls")
def test_ends_of_processes() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    fd = linux.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(10_000)
    finally:
        os.close(fd)
        os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError):
        linux.pidfd_open(pid)


def test_another_system_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not linux.has_memfd()
    with pytest.raises(SharedMemoryError, match="Function not implemented on darwin; ranks need"):
        Segment(1, 1)


def test_constants_are_the_systems() -> None:
    import fcntl

    assert (linux.MFD_CLOEXEC, linux.MFD_ALLOW_SEALING) == (os.MFD_CLOEXEC, os.MFD_ALLOW_SEALING)
    for name in ("F_ADD_SEALS", "F_SEAL_SHRINK", "F_SEAL_GROW"):
        assert getattr(linux, name) == getattr(fcntl, name)


def test_a_job_runs_on_such_a_python(tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text(MISSING)
    (tmp_path / "job.py").write_text(SCRIPT)
    ended = subprocess.run(
        [sys.executable, "-m", "disttorch_launcher", "--nproc", "2", "job.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
