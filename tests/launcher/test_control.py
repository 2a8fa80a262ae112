import os
import resource
import select
import socket
import threading

import pytest

from disttorch_launcher import control


@pytest.fixture
def job(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    return folder


def test_question_and_answer(job):
    server = control.ControlServer(job)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(control.ask(job, {"op": "x"})))
    asking.start()
    accepted = None
    while accepted is None:
        accepted = server.accept()
    caller, request = accepted
    assert request == {"op": "x"}
    control.answer(caller, {"lines": ["a"] * 10_000})
    asking.join()
    server.close()
    assert answers == [{"lines": ["a"] * 10_000}]


def test_launcher_that_has_ended(job):
    control.ControlServer(job).close()
    with pytest.raises(OSError, match="refused"):
        control.ask(job, {"op": "x"})


def test_request_of_nothing_but_brackets_is_no_request(job):
    server = control.ControlServer(job)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(job / control.NAME))
        caller.sendall(b"[" * (control.MAX_REQUEST_NBYTES - 1))
        assert server.accept() is None
    server.close()


def test_caller_is_turned_away_where_no_descriptor_is_left(job):
    server = control.ControlServer(job)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(job / control.NAME))
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limit[1]))
        filled = list(fill())
        try:
            assert server.accept() is None
            assert not select.select([server], [], [], 0)[0]
        finally:
            for fd in filled:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert caller.recv(1) == b""
    server.close()


def fill():
    """Take every descriptor that is left."""
    while True:
        try:
            yield os.dup(0)
        except OSError:
            return
