"""Handles and the thread behind them."""

import threading
from datetime import timedelta

import pytest

from disttorch.comm.errors import CollectiveTimeoutError, GroupUnusableError
from disttorch.comm.work import Runner, Work


def test_waits_of_any_length() -> None:
    work = Work("a test")
    with pytest.raises(CollectiveTimeoutError, match="a test did not end within 0 s"):
        work.wait(0)
    with pytest.raises(ValueError, match="at least 0"):
        work.wait(-1)
    with pytest.raises(CollectiveTimeoutError, match=r"a test did not end within 0\.01 s"):
        work.wait(timeout=timedelta(milliseconds=10))
    threading.Timer(0.05, work.finish).start()
    assert work.wait(timedelta(0))  # PyTorch's way to say no limit
    assert work.wait(float("inf"))
    assert work.wait(0)


def test_operations_run_in_order_and_end_with_their_error() -> None:
    runner, seen = Runner("test"), []
    works = [Work(str(i)) for i in range(3)]
    runner.submit(lambda: seen.append(0), works[0])
    runner.submit(lambda: {}["missing"], works[1])
    runner.submit(lambda: seen.append(2), works[2])
    assert works[2].wait(20)
    assert seen == [0, 2]
    with pytest.raises(KeyError):
        works[1].wait(20)
    assert runner.n_unfinished == 0
    assert runner.close()


def test_an_ended_runner_takes_nothing_that_would_never_run() -> None:
    runner = Runner("test")
    assert runner.close()
    with pytest.raises(GroupUnusableError):
        runner.submit(lambda: None, Work("late"))


def test_a_runner_that_closes_itself_ends() -> None:
    runner = Runner("closes itself")
    runner.submit(runner.close, None)
    for thread in threading.enumerate():
        if thread.name == "closes itself":
            thread.join(20)
            assert not thread.is_alive()


def test_the_future_of_an_operation_carries_its_outputs_or_its_error() -> None:
    runner = Runner("futures")
    works = [Work("good"), Work("bad")]
    works[0].outputs = ["tensor"]
    early = works[0].get_future().then(lambda f: f.value()[0])
    runner.submit(lambda: None, works[0])
    runner.submit(lambda: {}["missing"], works[1])
    with pytest.raises(KeyError):
        works[1].get_future().wait()
    assert early.wait() == "tensor"
    assert works[0].get_future().value() == ["tensor"]
    runner.close()


def test_what_a_callback_starts_comes_before_what_was_submitted_later() -> None:
    runner, seen, go = Runner("nested"), [], threading.Event()
    first, nested, last = Work("first"), Work("nested"), Work("last")

    def begin_nested(_: object) -> None:
        runner.submit(lambda: seen.append("nested"), nested)
        nested.wait(20)

    first.get_future().add_done_callback(begin_nested)
    runner.submit(lambda: (go.wait(20), seen.append("first")), first)
    runner.submit(lambda: seen.append("last"), last)
    go.set()
    assert last.wait(20)
    assert seen == ["first", "nested", "last"]
    assert runner.n_unfinished == 0
    runner.close()
