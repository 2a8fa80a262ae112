"""`preempted`: all ranks learn, at the same step, that the job has been asked to end.

A batch system sends SIGTERM or SIGUSR1 some time before it kills a job. Ranks see a signal at
different moments, and one that leaves by itself lets the others wait for it.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

import numpy as np

from disttorch.comm.reduce_op import ReduceOp
from disttorch.distributed import world

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class _Asked:
    """Whether this rank has been sent one of SIGNALS since it first asked."""

    watching = False
    yes = False


def preempted(group: Any = None) -> bool:
    """Return whether any rank has been asked to end: the same answer on all ranks of `group`.

    Call it once a step on all ranks, as a collective, first before the training loop. From then on
    a first SIGTERM or SIGUSR1 does not end a rank; a second SIGTERM does. Handlers of the
    program's own stay. Costs one all-reduce of a byte.

        for batch in loader:
            train(batch)
            if dist.preempted():
                save_checkpoint()
                break
    """
    _watch()
    if not world.is_initialized():
        return _Asked.yes
    asked = np.array([_Asked.yes], np.uint8)
    world.resolve_group(group).all_reduce(asked, ReduceOp.MAX)
    agreed = bool(asked[0])
    # A signal may have come meanwhile: all ranks hear of it at the next call, not this one alone.
    _Asked.yes = _Asked.yes or agreed
    return agreed


def _watch() -> None:
    if _Asked.watching or threading.current_thread() is not threading.main_thread():
        return
    _Asked.watching = True
    for signum in SIGNALS:
        if signal.getsignal(signum) is signal.SIG_DFL:
            signal.signal(signum, _note)


def _note(signum: int, _frame: object) -> None:
    _Asked.yes = True
    signal.signal(signum, signal.SIG_DFL if signum == signal.SIGTERM else signal.SIG_IGN)
