import os
import signal
import subprocess
import sys

import disttorch_launcher
from disttorch_launcher import stacks

BOOTSTRAP = os.path.join(os.path.dirname(disttorch_launcher.__file__), "bootstrap.py")
DUMP = f"""Thread 0x00007f0000000001 (most recent call first):
  File "/lib/threading.py", line 320 in wait

Current thread 0x00007f0000000002 (most recent call first):
  File "/t/job.py", line 7 in stuck
  File "/t/job.py", line 9 in <module>
  File "{BOOTSTRAP}", line 137 in _run_source
  File "/usr/x.py", line 1 in other
"""


def test_of_a_dump_the_users_frames_of_the_main_thread_are_kept():
    assert stacks.main_frames(DUMP) == ["/t/job.py:7 in stuck", "/t/job.py:9 in <module>"]
    assert stacks.main_frames("") == []


def test_frames_of_the_library_are_for_those_who_are_in_nothing_else():
    folder = sys.modules["disttorch"].__path__[0]
    inner = f'  File "{folder}/comm/mesh.py", line 3 in sync\n'
    dump = f"Current thread 0x1 (most recent call first):\n{inner}"
    assert len(stacks.main_frames(dump)) == 1
    both = dump + '  File "/t/job.py", line 9 in <module>\n'
    assert stacks.main_frames(both) == ["/t/job.py:9 in <module>"]


def test_rank_that_does_not_answer():
    assert stacks.stack_lines(None, os.getpid()) == ["    does not answer; its stack is not known"]


def test_stopped_process_is_said_to_be_stopped():
    with subprocess.Popen(["sleep", "60"]) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert stacks.process_state(process.pid).startswith("is stopped (SIGSTOP")
        process.kill()


def test_request_waits_until_answers_grow_no_more(tmp_path):
    folder = str(tmp_path)
    path = tmp_path / "stack-0-1.txt"
    path.write_text("old\n")
    request = stacks.StackRequest(folder, 0, [0, 1], now_s=0.0)
    assert request.asked == [1]  # rank 0 has no file: the signal would end it
    assert not request.look(0.1)
    path.write_text("old\nnew\n")
    assert not request.look(0.2)
    assert not request.look(0.3)
    assert request.answers == {1: "new\n"}
    assert request.look(stacks.PATIENCE_S)


def test_process_answers_with_its_stack(tmp_path):
    path = stacks.stack_file(str(tmp_path), 0, 5)
    code = (
        "import sys, os, time\nfrom disttorch_launcher import stacks\n"
        f"stacks.answer_requests({path!r})\nos.kill(os.getpid(), stacks.STACK_SIGNAL)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    with open(path) as file:
        assert '  File "<string>", line 4 in <module>' in file.read()
