import threading

import pytest

from disttorch.futures import Future, collect_all, wait_all


def completed(value):
    future = Future()
    future.set_result(value)
    return future


def test_a_value_set_by_another_thread():
    future = Future()
    threading.Thread(target=future.set_result, args=(3,)).start()
    assert future.wait() == 3
    assert future.done()
    assert future.value() == 3


@pytest.mark.parametrize("late", [False, True])
def test_callbacks_run_in_order_before_and_after_completion(late):
    future, seen = Future(), []
    if late:
        future.set_result(1)
    future.add_done_callback(lambda f: seen.append(f.value()))
    doubled = future.then(lambda f: f.value() * 2)
    chained = doubled.then(lambda f: f.value() + 1)
    if not late:
        future.set_result(1)
    assert seen == [1]
    assert chained.wait() == 3


def test_errors_travel_along_the_chain():
    future = Future()
    chained = future.then(lambda f: f.value()).then(lambda f: f.value())
    future.set_exception(ValueError("lost"))
    with pytest.raises(ValueError, match="lost"):
        chained.wait()
    with pytest.raises(ZeroDivisionError):
        completed(0).then(lambda f: 1 // f.value()).wait()


def test_misuse():
    with pytest.raises(RuntimeError, match="only be marked completed once"):
        completed(1).set_result(2)
    with pytest.raises(AssertionError, match="is of type <class 'str'>, not an Exception"):
        Future().set_exception("text")
    with pytest.raises(RuntimeError, match="not completed"):
        Future().value()


def test_several_at_once():
    pending = Future()
    whole = collect_all([completed(1), pending])
    assert not whole.done()
    pending.set_result(2)
    assert [f.value() for f in whole.wait()] == [1, 2]
    assert wait_all([completed(1), pending]) == [1, 2]
    assert wait_all([]) == []


def test_an_error_in_a_callback_is_logged(caplog):
    completed(0).add_done_callback(lambda f: 1 // f.value())
    assert "ZeroDivisionError" in caplog.text
