"""Ranks that fail at each kind of wait: `python -m tests.fault.waits [NAME...]` tries all.

One rank dies, leaves, skips a call or is stopped where the others wait for it; every one of them
must be told within its time who it was. The table of waits is used in part by `test_waits`.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import disttorch as torch
from disttorch import distributed as dist
from disttorch import nn
from disttorch.comm import lifecycle
from disttorch.comm.errors import (
    CollectiveMismatchError,
    CollectiveTimeoutError,
    PeerLostError,
)
from disttorch.distributed.algorithms.join import Join
from disttorch.distributed.optim import ZeroRedundancyOptimizer
from disttorch.distributed.world import _World
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm.ranks import Outcome, outcomes_of

VICTIM = 1
TIMEOUT_S = 0.6
SOON_S = 1.0
Step = Callable[[], object]


def _simple(call: Callable[..., object], numel: int = 3) -> Callable[[Any], Step]:
    return lambda group: lambda: call(group, torch.zeros(numel))


def _each(group: Any, x: Any) -> list[Any]:
    return [torch.zeros_like(x) for _ in range(group.size)]


def _at_root(group: Any, x: Any) -> list[Any] | None:
    return _each(group, x) if group.rank == VICTIM else None


def _in_place(group: Any) -> Step:
    memory = group.allocate(8 << 20).view(np.float32)
    return lambda: group.all_reduce(memory)


def _layers() -> Any:
    return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8))


def _model(group: Any, **how: Any) -> Any:
    return DistributedDataParallel(_layers(), process_group=group, bucket_cap_mb=1e-4, **how)


def _backward(group: Any) -> Step:
    model = _model(group, broadcast_buffers=False)
    loss = model(torch.ones(4, 8)).sum()

    def step() -> None:
        loss.backward()
        assert model  # which is to live until here

    return step


def _forward(group: Any) -> Step:
    model = _model(group)
    return lambda: model(torch.ones(4, 8))


def _zero(group: Any) -> Step:
    model = _layers()
    optimizer = ZeroRedundancyOptimizer(
        model.parameters(), torch.optim.SGD, process_group=group, lr=0.1
    )
    model(torch.ones(4, 8)).sum().backward()
    return optimizer.step


def _join(group: Any) -> Step:
    model = _model(group)

    def step() -> None:
        with Join([model]):
            pass

    return step


def _sync_batch_norm(group: Any) -> Step:
    _World.group = group  # without a default group it does not talk
    model = nn.SyncBatchNorm.convert_sync_batchnorm(_layers(), group)
    return lambda: model(torch.ones(4, 8))


def _objects(group: Any) -> list[Any]:
    return [None] * group.size


# What the ranks do together: each makes, from a group, the step that one of them will not join.
WAITS: dict[str, Callable[[Any], Step]] = {
    "all_reduce small": _simple(lambda g, x: dist.all_reduce(x, group=g)),
    "all_reduce medium": _simple(lambda g, x: dist.all_reduce(x, group=g), 200_000),
    "all_reduce large": _simple(lambda g, x: dist.all_reduce(x, group=g), 9_000_000),
    "all_reduce in place": _in_place,
    "broadcast": _simple(lambda g, x: dist.broadcast(x, group_src=VICTIM, group=g)),
    "broadcast large": _simple(lambda g, x: dist.broadcast(x, group_src=VICTIM, group=g), 10**6),
    "reduce": _simple(lambda g, x: dist.reduce(x, group_dst=0, group=g), 10**6),
    "all_gather": _simple(lambda g, x: dist.all_gather(_each(g, x), x, group=g), 10**5),
    "gather": _simple(lambda g, x: dist.gather(x, _at_root(g, x), group_dst=VICTIM, group=g)),
    "scatter": _simple(lambda g, x: dist.scatter(x, _at_root(g, x), group_src=VICTIM, group=g)),
    "reduce_scatter": _simple(lambda g, x: dist.reduce_scatter(x, _each(g, x), group=g), 10**5),
    "all_to_all": _simple(lambda g, x: dist.all_to_all(_each(g, x), _each(g, x), group=g)),
    "all_to_all large": _simple(
        lambda g, x: dist.all_to_all(_each(g, x), _each(g, x), group=g), 10**6
    ),
    "barrier": _simple(lambda g, x: dist.barrier(group=g)),
    "monitored_barrier": _simple(lambda g, x: g.size and dist.monitored_barrier(group=g)),
    "send": _simple(lambda g, x: dist.send(x, group_dst=VICTIM, group=g), 9_000_000),
    "recv": _simple(lambda g, x: dist.recv(x, group_src=VICTIM, group=g)),
    "recv from any": _simple(lambda g, x: dist.recv(x, group=g)),
    "irecv": _simple(lambda g, x: dist.irecv(x, group_src=VICTIM, group=g).wait()),
    "all_reduce async": _simple(lambda g, x: dist.all_reduce(x, group=g, async_op=True).wait()),
    "all_gather_object": _simple(lambda g, x: dist.all_gather_object(_objects(g), "x", group=g)),
    "broadcast_object_list": _simple(
        lambda g, x: dist.broadcast_object_list(["x"], group_src=VICTIM, group=g)
    ),
    "recv_object_list": _simple(
        lambda g, x: dist.recv_object_list([None], group_src=VICTIM, group=g)
    ),
    "new_group": _simple(lambda g, x: g.new_group([0])),
    "allocate": _simple(lambda g, x: g.allocate(1 << 20)),
    "DDP made": lambda group: lambda: _model(group),
    "DDP forward": _forward,
    "DDP backward": _backward,
    "ZeRO step": _zero,
    "Join": _join,
    "SyncBatchNorm": _sync_batch_norm,
}


def _killed(group: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raised(group: Any) -> None:
    with open(os.devnull, "w") as null, contextlib.redirect_stderr(null):
        sys.excepthook(ValueError, ValueError("bad sample"), None)
    os._exit(1)


def _exited(group: Any) -> None:
    lifecycle._at_exit()
    os._exit(0)


def _stopped(group: Any) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


_LOST = (PeerLostError,)
_LATE = (CollectiveTimeoutError, PeerLostError)  # or told first by another one that gave up
# What the victim does instead, what the others may raise, and after how many seconds at most.
FAULTS: dict[str, tuple[Callable[[Any], None], tuple[type[Exception], ...], float]] = {
    "killed": (_killed, _LOST, SOON_S),
    "raised": (_raised, _LOST, SOON_S),
    "exited": (_exited, _LOST, SOON_S),
    "left": (lambda group: group.close(), _LOST, SOON_S),
    "skipped": (
        lambda group: group.scatter_object(root=0),
        (CollectiveMismatchError, *_LATE),
        TIMEOUT_S + SOON_S,
    ),
    "stopped": (_stopped, _LATE, TIMEOUT_S + SOON_S),
}


def is_tried(wait: str, fault: str, n_ranks: int) -> bool:
    """Whether the others are to be told: who takes from any may go on while one can still send."""
    return not (wait == "recv from any" and fault in {"exited", "left"} and n_ranks > 2)


def complaints(wait: str, fault: str, n_ranks: int) -> list[str]:
    """Run one job; what is wrong with how the survivors heard of it, nothing if all is right."""
    fail, expected, limit_s = FAULTS[fault]
    notes = np.frombuffer(mmap.mmap(-1, 16), np.float64)

    def body(group: Any) -> None:
        torch.manual_seed(0)
        group.timeout_s = TIMEOUT_S if limit_s > SOON_S else 20.0
        step = WAITS[wait](group)
        # What a rank has queued dies with it: over TCP, the victim goes when all have come.
        if group.rank == VICTIM:
            for rank in range(group.size):
                if rank != VICTIM:
                    group.recv(np.empty(1), rank)
            notes[:] = time.monotonic(), os.getpid()
            fail(group)
            return
        group.send(np.ones(1), VICTIM)
        try:
            step()
        finally:
            if fault == "stopped":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(notes[1]), signal.SIGKILL)

    outcomes = outcomes_of(n_ranks, body)
    survivors = [(r, o) for r, o in enumerate(outcomes) if r != VICTIM]
    return [
        f"{wait}, {fault}, {n_ranks} ranks, rank {rank}: {text}"
        for rank, outcome in survivors
        for text in _faults_of(outcome, expected, outcome.ended_s - notes[0], limit_s)
    ]


def _faults_of(
    outcome: Outcome, expected: tuple[type[Exception], ...], seconds: float, limit_s: float
) -> Iterator[str]:
    if not isinstance(outcome.error, expected):
        yield f"ended with {outcome.error!r} (status {outcome.status})\n{outcome.trace}"
    elif not re.search(rf"rank {VICTIM}\b|^  {VICTIM} ", str(outcome.error), re.MULTILINE):
        yield f"does not name the rank: {outcome.error}"
    if seconds > limit_s:
        yield f"was told after {seconds:.2f} s"


def main(names: list[str]) -> int:
    """Try every wait whose name has one of `names`, or all; returns how many went wrong."""
    failed = n = 0
    for transport, n_ranks in itertools.product(("", "tcp"), (2, 3)):
        os.environ["DISTTORCH_TRANSPORT"] = transport
        for wait, fault in itertools.product(WAITS, FAULTS):
            asked = not names or any(name in wait or name == fault for name in names)
            if not asked or not is_tried(wait, fault, n_ranks):
                continue
            n += 1
            for text in complaints(wait, fault, n_ranks):
                failed += 1
                print(f"{transport or 'shared memory'}: {text}", flush=True)
    print(f"{n} jobs, {failed} survivors were not told rightly")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
