import pytest

from disttorch.profiler import ProfilerAction, schedule

LETTERS = {"NONE": ".", "WARMUP": "w", "RECORD": "r", "RECORD_AND_SAVE": "S"}
# arguments: what is done in the first steps
CYCLES = {
    "wait=1, warmup=1, active=2": ".wrS.wrS.wr",
    "wait=0, warmup=0, active=1": "SSSSSSSSSSS",
    "wait=1, warmup=0, active=1, repeat=2": ".S.S.......",
    "wait=0, warmup=1, active=2, skip_first=2": "..wrSwrSwrS",
}


@pytest.mark.parametrize("arguments", CYCLES)
def test_cycle(arguments):
    action_of = eval(f"schedule({arguments})")
    assert "".join(LETTERS[action_of(i).name] for i in range(11)) == CYCLES[arguments]


def test_bad_arguments():
    with pytest.raises(AssertionError, match="Invalid profiler schedule arguments"):
        schedule(wait=0, warmup=0, active=0)
    assert ProfilerAction.NONE.value == 0
