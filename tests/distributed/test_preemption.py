import os
import signal

import pytest

import disttorch.distributed as dist
from disttorch.distributed import preemption


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setattr(preemption._Asked, "watching", False)
    monkeypatch.setattr(preemption._Asked, "yes", False)
    before = {signum: signal.getsignal(signum) for signum in preemption.SIGNALS}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def test_without_a_group_it_is_the_process_that_was_asked():
    assert not dist.preempted()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert dist.preempted() and dist.preempted()
    # Asked once more, the process would end, as it does without us.
    assert signal.getsignal(signal.SIGTERM) is preemption._note


def test_second_sigterm_ends_the_process():
    dist.preempted()
    os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_own_handlers_stay():
    def own(*_):
        pass

    signal.signal(signal.SIGTERM, own)
    dist.preempted()
    assert signal.getsignal(signal.SIGTERM) is own
