"""Which line called: told also where paths cannot be made shorter."""

import contextlib
import functools
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from disttorch.comm import callsite


def test_the_line_of_this_test() -> None:
    frame = callsite.user_frame()
    assert frame is not None
    assert frame.f_code.co_filename == __file__
    assert callsite.describe(frame).endswith(f"test_callsite.py:{frame.f_lineno}")
    assert callsite.describe(None) == "unknown"


def test_a_working_directory_that_is_gone(tmp_path, monkeypatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    frame = callsite.user_frame()
    assert callsite.describe(frame) == f"{__file__}:{frame.f_lineno}"


def collective(filename: str = os.path.join(os.path.dirname(callsite.__file__), "made_up.py")):
    """A function of another file, by default of disttorch, that asks for the line of its user."""
    names = {"callsite": callsite}
    text = "def f():\n    return callsite.describe(callsite.user_frame())\n"
    exec(compile(text, filename, "exec"), names)
    return names["f"]


def decorated(call):
    @functools.wraps(call)
    def f():
        return call()

    return f()


def at_the_end_of_a_block(call):
    found = []
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: found.append(call()))
    return found[0]


def in_a_thread(body):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(body).result()


WAYS = {
    "called": lambda call: call(),
    "decorated": decorated,
    "partial": lambda call: functools.partial(call)(),
    "comprehension": lambda call: "".join([call() for _ in range(1)]),
    "generator": lambda call: next(call() for _ in range(1)),
    "exit of a block": at_the_end_of_a_block,
    "a thread's function": lambda call: in_a_thread(lambda: call()),  # noqa: PLW0108 - a line of ours
}


@pytest.mark.parametrize("way", WAYS)
def test_the_users_line_is_told(way: str) -> None:
    assert __name__.rpartition(".")[2] in WAYS[way](collective())


@pytest.mark.parametrize("file", ["/u/train.py", "<string>", "<ipython-input-3-abc>"])
def test_code_without_a_file_is_the_users(file: str) -> None:
    assert collective(file)() == f"{file}:2"


@pytest.mark.parametrize("folder", ["site-packages", "dist-packages"])
def test_an_installed_package_is_a_user(folder: str) -> None:
    file = os.path.join(os.path.dirname(os.__file__), folder, "trainer.py")
    assert collective(file)().endswith("trainer.py:2")


def test_pythons_library_is_passed_over() -> None:
    library = os.path.join(os.path.dirname(os.__file__), "contextlib.py")
    assert "test_callsite.py:" in collective(library)()


def test_a_thread_without_a_line_of_the_user_is_named() -> None:
    found = []
    call = collective()
    names = {"call": call, "found": found}
    exec(compile("def f():\n    found.append(call())\n", call.__code__.co_filename, "exec"), names)
    thread = threading.Thread(target=names["f"], name="loader")
    thread.start()
    thread.join()
    assert re.fullmatch(r"threading\.py:\d+ in thread loader", found[0])
