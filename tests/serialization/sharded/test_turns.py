"""Saves into one folder: who waits for whom."""

import os
import threading

import pytest

from disttorch.serialization.sharded.turns import Turn


def test_a_turn_that_ends_before_it_came_lets_nobody_pass(tmp_path):
    first, second, third = (Turn(str(tmp_path)) for _ in range(3))
    with second:
        pass
    with pytest.raises(TimeoutError, match=r"has not ended after 0\.01 s"):
        third.wait(0.01)
    with first:
        first.wait(None)
    third.wait(None)


def test_another_folder_is_another_line_and_another_name_is_not(tmp_path):
    (tmp_path / "a").mkdir()
    os.symlink(tmp_path / "a", tmp_path / "link")
    with Turn(str(tmp_path / "a")):
        Turn(str(tmp_path / "b")).wait(0)
        with pytest.raises(TimeoutError):
            Turn(str(tmp_path / "link")).wait(0)


def test_order_is_that_of_the_calls(tmp_path):
    done = []

    def save(turn, number):
        with turn:
            turn.wait(30)
            done.append(number)

    turns = [Turn(str(tmp_path)) for _ in range(5)]
    jobs = [(turn, number) for number, turn in enumerate(turns)]
    threads = [threading.Thread(target=save, args=job) for job in reversed(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert done == [0, 1, 2, 3, 4]


def test_a_save_inside_of_a_save_does_not_wait_for_itself(tmp_path):
    with Turn(str(tmp_path)) as outer:
        outer.wait(None)
        with (
            Turn(str(tmp_path)) as inner,
            pytest.raises(RuntimeError, match="called inside of another"),
        ):
            inner.wait(None)
    Turn(str(tmp_path)).wait(0)
