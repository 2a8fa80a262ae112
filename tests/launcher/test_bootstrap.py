"""Inside a rank: what a script sees is what `python script.py` would show it."""

import json
import os
import subprocess
import sys

import pytest

from tests.launcher.jobs import LAUNCH, run

REPORT = """
import json, os, sys
import __main__
print(json.dumps({
    "argv": sys.argv, "path0": sys.path[0], "file": os.path.basename(__file__),
    "name": __name__, "same": __main__.__dict__ is globals(), "package": __package__,
    "builtins": str(__builtins__)[:20],
    "spec": bool(__spec__), "stdin": sys.stdin.read(), "cwd": os.getcwd(),
}))
"""


def seen(folder, command, *, stdin=""):
    """What REPORT printed when `command` ran in `folder`, without the prefix of a rank."""
    ended = subprocess.run(
        command, cwd=folder, input=stdin, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.replace("[r0] ", "").splitlines()
    return json.loads(lines[0])


@pytest.fixture
def scripts(tmp_path):
    (tmp_path / "job.py").write_text(REPORT)
    (tmp_path / "no_suffix").write_text(REPORT)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "__main__.py").write_text(REPORT)
    (tmp_path / "pkg" / "mod.py").write_text(REPORT)
    (tmp_path / "pkg" / "link.py").symlink_to(tmp_path / "job.py")
    return tmp_path


COMMANDS = [
    ["job.py", "a", "--nproc", "-x"],
    ["./pkg/mod.py"],
    ["pkg/link.py"],
    ["-m", "pkg.mod", "a"],
    ["-m", "pkg"],
    ["no_suffix", "a"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_script_is_run_as_python_runs_it(command, scripts):
    ours = seen(scripts, [*LAUNCH, *command], stdin="typed")
    theirs = seen(scripts, [sys.executable, *command], stdin="typed")
    if command[0] in ("-m", "no_suffix"):  # runpy's module is `__main__`, but gone at exit
        ours.pop("builtins"), theirs.pop("builtins")
        ours.pop("same"), theirs.pop("same")
        ours.pop("spec"), theirs.pop("spec")
        ours.pop("package"), theirs.pop("package")
    assert ours == theirs


def test_folder_with_a_main_is_run(scripts):
    assert seen(scripts, [*LAUNCH, "pkg"])["path0"] == "pkg"


def values(folder, script, *options, nproc=2):
    """What each rank printed, in order of ranks."""
    ended = run(folder, script, "--nproc", str(nproc), *options)
    assert ended.status == 0, ended.stderr
    return [line.split(" ", 1)[1] for line in sorted(ended.stdout.splitlines())]


def test_environment_is_torchruns(tmp_path):
    names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE GROUP_RANK TORCHELASTIC_RESTART_COUNT"
    script = f"import os\nprint(*[os.environ[name] for name in '{names}'.split()])"
    assert values(tmp_path, script) == ["0 0 2 2 0 0", "1 1 2 2 0 0"]


def test_threads(tmp_path):
    script = """
        import os
        import disttorch
        print(os.environ["OMP_NUM_THREADS"], disttorch.get_num_threads())
    """
    assert values(tmp_path, script, "--threads", "1") == ["1 1", "1 1"]
    assert values(tmp_path, script, "--threads", "2") == ["2 2", "2 2"]


def test_variables_role_and_cores_of_the_command_line(tmp_path):
    script = """
        import os
        print(os.environ["COLOUR"], os.environ["ROLE_NAME"], len(os.sched_getaffinity(0)))
    """
    options = ("--env", "COLOUR=red", "--role", "eval", "--bind", "core")
    n_cores = max(1, len(os.sched_getaffinity(0)) // 2)
    assert values(tmp_path, script, *options)[0] == f"red eval {n_cores}"


def test_logs_of_redirected_and_teed_streams(tmp_path):
    script = """
        import os, sys
        print("out", os.environ["RANK"])
        print("err", os.environ["RANK"], file=sys.stderr)
    """
    options = ("--log-dir", "logs", "--tee", "out", "--redirect", "1:err", "--rdzv-id", "job")
    ended = run(tmp_path, script, "--nproc", "2", *options)
    assert sorted(ended.stdout.splitlines()) == ["[r0] out 0", "[r1] out 1"]
    assert ended.stderr == "[r0] err 0\n"
    logs = tmp_path / "logs" / "job" / "attempt_0"
    assert (logs / "0" / "stdout.log").read_text() == "out 0\n"
    assert (logs / "1" / "stderr.log").read_text() == "err 1\n"
    assert not (logs / "0" / "stderr.log").exists()
    assert json.loads((tmp_path / "logs" / "job" / "report.json").read_text())["exit_status"] == 0


def test_numpy_draws_other_numbers_on_each_rank(tmp_path):
    script = "import numpy\nprint(numpy.random.rand())"
    first, second = values(tmp_path, script)
    assert first != second


def test_stdin_belongs_to_rank_0(tmp_path):
    (tmp_path / "job.py").write_text("import sys; print(repr(sys.stdin.read()))")
    ended = subprocess.run(
        [*LAUNCH, "--nproc", "2", "job.py"],
        cwd=tmp_path, input="data", capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert sorted(ended.stdout.splitlines()) == ["[r0] 'data'", "[r1] ''"]


def test_any_program_can_be_a_rank(tmp_path):
    command = [*LAUNCH, "--nproc", "2", "--no-python", "sh", "-c", 'echo "rank $RANK"; exit $RANK']
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert sorted(ended.stdout.splitlines()) == ["[r0] rank 0", "[r1] rank 1"]
    assert ended.returncode == 1


def test_programs_may_be_quicker_than_the_launcher(tmp_path):
    command = [*LAUNCH, "--nproc", "24", "--no-python", "true"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_program_has_none_of_the_launchers_descriptors(tmp_path):
    command = [*LAUNCH, "--no-python", "sh", "-c", "ls /proc/$$/fd"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.stdout == "[r0] 0\n[r0] 1\n[r0] 2\n"


def test_program_that_is_not_there(tmp_path):
    command = [*LAUNCH, "--no-python", "no-such-program"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 127
    assert "[r0] no-such-program: program not found" in ended.stderr


def test_spawned_children_find_the_script(tmp_path):
    script = """
        import multiprocessing as mp

        def work(x):
            return x + 1

        if __name__ == "__main__":
            with mp.get_context("spawn").Pool(1) as pool:
                print(pool.map(work, [1, 2]))
    """
    assert values(tmp_path, script, nproc=1) == ["[2, 3]"]


def test_own_excepthook_is_called_and_the_report_still_made(tmp_path):
    script = """
        import sys
        sys.excepthook = lambda kind, value, tb: print("hook saw", value, file=sys.stderr)
        raise ValueError("boom")
    """
    ended = run(tmp_path, script)
    assert "[r0] hook saw boom" in ended.stderr
    assert ended.stderr.endswith("ValueError: boom\n")


def test_error_with_a_cause_shows_both(tmp_path):
    script = """
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise RuntimeError("step 3") from error
    """
    ended = run(tmp_path, script)
    assert "ZeroDivisionError: division by zero" in ended.stderr
    assert ended.stderr.endswith("RuntimeError: step 3\n")


def test_closed_standard_streams_do_not_matter(tmp_path):
    (tmp_path / "job.py").write_text("print('x'); open('out', 'w').write('done')")
    command = " ".join([*LAUNCH, "--nproc", "1", "job.py"]) + " >&- 2>&- <&-"
    ended = subprocess.run(command, shell=True, cwd=tmp_path, timeout=30, check=False)
    assert ended.returncode == 0
    assert (tmp_path / "out").read_text() == "done"


def test_of_the_launchers_descriptors_a_rank_has_only_the_notice_pipe(tmp_path):
    script = """
        import os
        opened = [f"/proc/self/fd/{n}" for n in range(3, 64)]
        print(*[os.readlink(fd).partition(":")[0] for fd in opened if os.path.exists(fd)])
    """
    assert values(tmp_path, script) == ["pipe", "pipe"]
