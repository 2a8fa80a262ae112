"""The leak check itself: each kind of leftover is seen, named, and gone once cleaned up."""

import contextlib
import mmap
import os
import re
import subprocess
import sys
import threading
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

import disttorch
from tests import leaks

# It reports when it runs: until then a process shows no command.
CHILD = [sys.executable, "-c", "print(flush=True); input()"]
ORPHANING = f"import subprocess as s; s.Popen({CHILD!r}, stdout=s.PIPE).stdout.readline()"


@contextlib.contextmanager
def thread():
    release = threading.Event()
    worker = threading.Thread(target=release.wait, name="forgotten")
    worker.start()
    try:
        yield
    finally:
        release.set()
        worker.join()


@contextlib.contextmanager
def descriptor():
    read, write = os.pipe()
    try:
        yield
    finally:
        os.close(read)
        os.close(write)


@contextlib.contextmanager
def child():
    pipe = subprocess.PIPE
    with subprocess.Popen(CHILD, stdin=pipe, stdout=pipe) as process:
        process.stdout.readline()
        yield


@contextlib.contextmanager
def zombie():
    pid = os.posix_spawn("/bin/true", ["true"], os.environ)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        yield
    finally:
        os.waitpid(pid, 0)


@contextlib.contextmanager
def orphan():
    """A process whose parent ends at once; closing its standard input ends it."""
    read, write = os.pipe()
    try:
        parent = [sys.executable, "-c", ORPHANING]
        subprocess.run(parent, stdin=read, check=True, stderr=subprocess.DEVNULL)
        yield
    finally:
        os.close(read)
        os.close(write)


@contextlib.contextmanager
def memory():
    fd = os.memfd_create("bucket")
    os.truncate(fd, 4096)
    with mmap.mmap(fd, 4096):
        os.close(fd)
        yield


@contextlib.contextmanager
def run_directory():
    path = Path(os.environ[leaks.RUN_DIRECTORIES], "disttorch-abc")
    path.mkdir()
    try:
        yield
    finally:
        path.rmdir()


@contextlib.contextmanager
def default_dtype():
    disttorch.set_default_dtype(disttorch.float64)
    try:
        yield
    finally:
        disttorch.set_default_dtype(disttorch.float32)


@contextlib.contextmanager
def environment():
    os.environ["WORLD_SIZE"] = "2"
    try:
        yield
    finally:
        del os.environ["WORLD_SIZE"]


@pytest.mark.parametrize(
    ("leak", "complaint"),
    [
        (thread, "thread: forgotten"),
        (descriptor, "file descriptor: fd .* -> pipe:"),
        (child, "child process: pid .* -c print"),
        (zombie, "child process: pid .*zombie"),
        (orphan, "process without parent: pid .* -c print"),
        (memory, "shared memory: mapping of /memfd:bucket"),
        (run_directory, "run directory: .*/disttorch-abc"),
        (default_dtype, "global state: default dtype is now torch.float64"),
        (environment, "global state: environment variable WORLD_SIZE is now '2'"),
    ],
)
def test_leftover_is_named_and_its_removal_seen(leak, complaint):
    check = leaks.LeakCheck()
    with leak():
        left = check.left()
        assert any(re.match(complaint, line) for line in left), left
    assert check.wait(5) == []


def test_nothing_left_by_nothing():
    assert leaks.LeakCheck().left() == []


@pytest.mark.skipif(not leaks.SHM.exists(), reason="POSIX shared memory has no folder here")
def test_unused_shared_files_are_those_nobody_maps():
    before = leaks.unused_shared_files()
    memory = SharedMemory(create=True, size=1)
    try:
        assert f"/dev/shm/{memory.name}" not in leaks.unused_shared_files()
        memory.close()
        assert f"/dev/shm/{memory.name}" in leaks.unused_shared_files() - before
    finally:
        memory.unlink()


def test_kill_ends_what_was_left():
    check = leaks.LeakCheck()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    check.kill()
    assert not [line for line in check.left() if "process" in line]
    process.communicate()
