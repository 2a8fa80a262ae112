"""Training steps that a rank does not survive: the others say so, and soon."""

import mmap
import os
import signal
import time

import numpy as np
import pytest

import disttorch as torch
from disttorch import nn
from disttorch.comm.errors import CollectiveTimeoutError, PeerLostError
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm.ranks import outcomes_of

pytestmark = pytest.mark.fault

N_LAYERS = 4
VICTIM = 1
FAULTY_STEP = 2
SOON_S = 1.0


def shared(n):
    """Numbers that all ranks see, for what a rank cannot tell once it is gone."""
    return np.frombuffer(mmap.mmap(-1, 8 * n), np.float64)


def train(group, fault, layer, **how):
    """Steps of which one meets with `fault` on the victim, when a layer's gradient is made."""
    inner = nn.Sequential(*(nn.Linear(8, 8) for _ in range(N_LAYERS)))
    model = DistributedDataParallel(inner, process_group=group, bucket_cap_mb=1e-4, **how)
    for step in range(FAULTY_STEP + 2):
        handle = None
        if step == FAULTY_STEP and group.rank == VICTIM:
            handle = inner[layer].weight.register_hook(lambda grad: fault())
        model(torch.ones(2, 8)).sum().backward()
        if handle is not None:
            handle.remove()


@pytest.mark.parametrize("layer", [0, N_LAYERS - 1])
@pytest.mark.parametrize("n_ranks", [2, 3])
def test_a_rank_killed_in_backward_is_named_within_a_second(n_ranks, layer):
    notes = shared(1)

    def die():
        notes[0] = time.monotonic()
        os.kill(os.getpid(), signal.SIGKILL)

    outcomes = outcomes_of(n_ranks, lambda group: train(group, die, layer))
    assert outcomes[VICTIM].status == -signal.SIGKILL
    for rank, outcome in enumerate(outcomes):
        if rank != VICTIM:
            assert isinstance(outcome.error, PeerLostError), outcome.trace
            assert f"rank {VICTIM}" in str(outcome.error)
            assert outcome.ended_s - notes[0] < SOON_S


def test_an_exception_in_backward_ends_the_others_with_its_text():
    def fail():
        raise ArithmeticError("in the middle of a pass")

    healthy, failed = outcomes_of(2, lambda group: train(group, fail, 0))
    assert isinstance(failed.error, ArithmeticError)
    assert isinstance(healthy.error, PeerLostError), healthy.trace
    assert f"rank {VICTIM}" in str(healthy.error)
    assert healthy.ended_s - failed.ended_s < SOON_S


def test_an_exception_in_a_communication_hook():
    def body(group):
        def hook(state, bucket):
            if group.rank == VICTIM and bucket.index() == 1:
                raise ArithmeticError("in a hook")
            work = torch.distributed.all_reduce(bucket.buffer(), group=group, async_op=True)
            return work.get_future().then(lambda done: done.value()[0] / 2)

        model = DistributedDataParallel(
            nn.Sequential(*(nn.Linear(8, 8) for _ in range(N_LAYERS))),
            process_group=group,
            bucket_cap_mb=1e-4,
        )
        model.register_comm_hook(None, hook)
        model(torch.ones(2, 8)).sum().backward()

    healthy, failed = outcomes_of(2, body)
    assert isinstance(failed.error, ArithmeticError)
    assert isinstance(healthy.error, PeerLostError), healthy.trace
    assert f"rank {VICTIM}" in str(healthy.error)
    assert healthy.ended_s - failed.ended_s < SOON_S


def test_a_rank_stopped_in_backward_is_named_at_the_deadline():
    timeout_s = 1.5
    notes = shared(2)

    def body(group):
        group.timeout_s = timeout_s
        notes[group.rank] = os.getpid()
        begun_s = time.monotonic()
        try:
            train(group, lambda: os.kill(os.getpid(), signal.SIGSTOP), 0)
        finally:
            if group.rank != VICTIM:
                os.kill(int(notes[VICTIM]), signal.SIGKILL)
        return time.monotonic() - begun_s

    healthy, stopped = outcomes_of(2, body)
    assert stopped.status == -signal.SIGKILL
    assert isinstance(healthy.error, CollectiveTimeoutError), healthy.trace
    assert f"rank {VICTIM}" in str(healthy.error)
    assert "all_reduce" in str(healthy.error)
