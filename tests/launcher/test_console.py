import os
import pty
import select
import subprocess
import sys
import termios

import pytest

from disttorch_launcher.console import FULL_NBYTES, Console, Outlet
from tests.launcher.jobs import LAUNCH


@pytest.fixture
def pipe():
    read_fd, write_fd = os.pipe()
    yield read_fd, write_fd
    for fd in (read_fd, write_fd):
        try:
            os.close(fd)
        except OSError:
            pass


def test_outlet_never_blocks_and_loses_nothing(pipe):
    read_fd, write_fd = pipe
    outlet = Outlet(write_fd)
    data = os.urandom(1 << 20)
    outlet.write(data)
    assert outlet.pending
    assert os.get_blocking(write_fd)  # whoever shares the descriptor sees no change
    got = b""
    while len(got) < len(data):
        got += os.read(read_fd, 1 << 16)
        outlet.pump()
    assert (got, outlet.pending) == (data, False)
    outlet.close()


def test_outlet_says_when_it_is_full(pipe):
    outlet = Outlet(pipe[1])
    outlet.write(b"x" * FULL_NBYTES)
    assert not outlet.full
    outlet.write(b"x" * FULL_NBYTES)
    assert outlet.full
    outlet.close()


def test_outlet_without_a_reader_breaks_once(pipe):
    read_fd, write_fd = pipe
    outlet = Outlet(write_fd)
    os.close(read_fd)
    outlet.write(b"x")
    assert isinstance(outlet.broken, BrokenPipeError)
    outlet.write(b"y")
    assert not outlet.pending
    outlet.close()


def test_flush_gives_up_at_its_deadline(pipe):
    outlet = Outlet(pipe[1])
    outlet.write(b"x" * (1 << 20))
    outlet.flush(deadline_s=0.0)
    assert outlet.pending
    outlet.close()


def test_files_are_written_where_the_descriptor_stands(tmp_path):
    path = tmp_path / "log"
    with open(path, "wb") as file:
        file.write(b"before\n")
        file.flush()
        console = Console(file.fileno(), file.fileno(), {})
        console.lines((1, 1), b"a\nb\n")
        console.note("note")
        console.close()
    assert path.read_bytes() == b"before\n[r1] a\n[r1] b\nnote\n"


def test_streams_stay_apart(tmp_path):
    with open(tmp_path / "1", "wb") as out, open(tmp_path / "2", "wb") as err:
        console = Console(out.fileno(), err.fileno(), {})
        console.lines((0, 1), b"out\n")
        console.lines((0, 2), b"err\n")
        console.progress((0, 2), b"50%")
        console.close()
    assert (tmp_path / "1").read_bytes() == b"[r0] out\n"
    assert (tmp_path / "2").read_bytes() == b"[r0] err\n"


@pytest.fixture
def terminal():
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def shows(fd, expected):
    """True if a terminal receives exactly this, without the return that it adds to a newline."""
    got = b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while len(got) < len(expected) and poll.poll(10_000):
        got = (got + os.read(fd, 1 << 16)).replace(b"\r\n", b"\n")
    return got == expected


PLAIN = {"TERM": "xterm", "NO_COLOR": "1"}
ERASE = b"\r\x1b[K"


def test_terminal_shows_a_bar_live_below_the_lines(terminal):
    ours, theirs = terminal
    console = Console(theirs, theirs, PLAIN)
    console.progress((0, 2), b"50%")
    assert shows(ours, ERASE + b"[r0] 50%")
    console.lines((1, 1), b"line\n")
    assert shows(ours, ERASE + b"[r1] line\n[r0] 50%")
    console.progress_ended((1, 1))  # not that rank's bar
    console.note("note")
    assert shows(ours, ERASE + b"note\n[r0] 50%")
    console.progress_ended((0, 2))
    console.lines((0, 2), b"100%\n")
    assert shows(ours, ERASE + b"[r0] 100%\n")
    console.close()


def test_bar_never_wraps(terminal):
    ours, theirs = terminal
    termios.tcsetwinsize(theirs, (24, 20))
    console = Console(theirs, theirs, PLAIN)
    console.progress((12, 2), b"x" * 100)
    assert shows(ours, ERASE + b"[r12] " + b"x" * 13)
    console.close()


def test_bar_on_a_terminal_that_has_been_closed():
    ours, theirs = pty.openpty()
    console = Console(theirs, theirs, PLAIN)
    os.close(ours)
    console.progress((0, 2), b"50%")
    assert console.broken is not None
    console.close()
    os.close(theirs)


def test_ranks_have_colours_where_they_are_wanted(terminal):
    ours, theirs = terminal
    for environ, line in (
        ({"TERM": "xterm"}, b"\x1b[36m[r0]\x1b[0m x\n"),
        (PLAIN, b"[r0] x\n"),
        ({"TERM": "dumb"}, b"[r0] x\n"),
    ):
        console = Console(theirs, theirs, environ)
        console.lines((0, 1), b"x\n")
        assert shows(ours, line)
        console.close()


def test_rank_cannot_be_stopped_by_the_terminal(tmp_path):
    # pty.spawn: the launcher is a job in the foreground of a terminal of its own.
    (tmp_path / "job.py").write_text("open('/dev/tty').read(1)")
    spawn = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    ended = subprocess.run(
        [sys.executable, "-c", spawn, *LAUNCH, "job.py"],
        cwd=tmp_path, capture_output=True, stdin=subprocess.DEVNULL, timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert b"No such device or address: '/dev/tty'" in ended.stdout


def test_job_on_a_terminal(tmp_path, terminal):
    ours, theirs = terminal
    (tmp_path / "job.py").write_text("import os; print(os.isatty(0), os.isatty(1))")
    subprocess.run(
        [*LAUNCH, "job.py"], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"TERM": "dumb"}, timeout=30, check=True,
    )  # fmt: skip
    assert shows(ours, b"[r0] False False\n")
