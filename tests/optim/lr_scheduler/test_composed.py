"""What schedules made of schedules refuse."""

from __future__ import annotations

import pytest

import disttorch
from disttorch.optim import SGD
from disttorch.optim import lr_scheduler as s


def optimiser():
    return SGD([disttorch.ones(1).requires_grad_()])


def refused(o):
    step = s.StepLR(o, 3)
    return [
        (
            lambda: s.SequentialLR(o, [], []),
            ValueError,
            "SequentialLR expects at least one scheduler, but got no scheduler.",
        ),
        (
            lambda: s.ChainedScheduler([]),
            ValueError,
            "ChainedScheduler expects at least one scheduler to be chained, but got no scheduler.",
        ),
        (
            lambda: s.SequentialLR(o, [step], [3]),
            ValueError,
            "Sequential Schedulers expects number of schedulers provided to be one more than the "
            "number of milestone points, but got number of schedulers 1 and the number of "
            "milestones to be equal to 1",
        ),
        (
            lambda: s.SequentialLR(o, [3], []),
            TypeError,
            "SequentialLR at index 0 should have `optimizer` as its attribute.",
        ),
        (
            lambda: s.ChainedScheduler([step, s.ReduceLROnPlateau(o)]),
            ValueError,
            "ChainedScheduler does not support `ReduceLROnPlateau` scheduler as it requires "
            "additional kwargs to be specified when calling `step`, but got one at index 1 in the "
            "given schedulers sequence.",
        ),
    ]


@pytest.mark.parametrize("i", range(5))
def test_refused(i):
    call, kind, text = refused(optimiser())[i]
    with pytest.raises(kind) as raised:
        call()
    assert str(raised.value) == text


def test_schedulers_of_two_optimizers():
    with pytest.raises(ValueError, match="expects all schedulers to belong to the same optimizer"):
        s.ChainedScheduler([s.StepLR(optimiser(), 3), s.StepLR(optimiser(), 3)])
