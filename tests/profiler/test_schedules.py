import contextlib

import pytest

from disttorch.profiler import ProfilerAction, schedule

LETTERS = {"NONE": ".", "WARMUP": "w", "RECORD": "r", "RECORD_AND_SAVE": "S"}
# arguments: what is done in the first steps
CYCLES = {
    "wait=1, warmup=1, active=2": ".wrS.wrS.wr",
    "wait=0, warmup=0, active=1": "SSSSSSSSSSS",
    "wait=1, warmup=0, active=1, repeat=2": ".S.S.......",
    "wait=0, warmup=1, active=2, skip_first=2": "..wrSwrSwrS",
    "wait=3, warmup=1, active=1, skip_first=1, skip_first_wait=1": ".wS...wS...",
}


@pytest.mark.parametrize("arguments", CYCLES)
def test_cycle(arguments):
    warns = pytest.warns(UserWarning, match="Profiler won't be using warmup")
    with warns if "warmup=0" in arguments else contextlib.nullcontext():
        action_of = eval(f"schedule({arguments})")
    assert "".join(LETTERS[action_of(i).name] for i in range(11)) == CYCLES[arguments]


def test_bad_arguments():
    with pytest.raises(AssertionError, match=r"schedule arguments. Got wait=0 \(need >= 0\), warm"):
        schedule(wait=0, warmup=0, active=0)
    with pytest.raises(AssertionError, match=r"Step must be non-negative. Got -1."):
        schedule(wait=0, warmup=1, active=1)(-1)
    assert ProfilerAction.NONE.value == 0
