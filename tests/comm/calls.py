"""What tests let the ranks of a group do, and ways in which a rank ends."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from disttorch.comm.errors import PeerLostError
from disttorch.comm.group import ProcessGroup
from disttorch.comm.work import Work

LARGE = 1_000_000
BIG = np.zeros(LARGE)
SMALL = np.zeros(3)

CALLS: dict[str, Callable[[ProcessGroup], object]] = {
    "all_reduce small": lambda g: g.all_reduce(SMALL),
    "all_reduce large": lambda g: g.all_reduce(BIG),
    "broadcast": lambda g: g.broadcast(BIG, g.size - 1),
    "reduce": lambda g: g.reduce(BIG),
    "all_gather": lambda g: g.all_gather([BIG.copy() for _ in range(g.size)], BIG),
    "gather": lambda g: g.gather(SMALL, [SMALL.copy()] * g.size if g.rank == 0 else None),
    "scatter": lambda g: g.scatter(SMALL, [SMALL.copy()] * g.size if g.rank == 0 else None),
    "reduce_scatter": lambda g: g.reduce_scatter(BIG, [BIG] * g.size),
    "all_to_all": lambda g: g.all_to_all([BIG.copy() for _ in range(g.size)], [BIG] * g.size),
    "barrier": lambda g: g.barrier(),
    "recv": lambda g: g.recv(SMALL, 1),
    "recv from any": lambda g: g.recv(SMALL),
    "send": lambda g: g.send(BIG, 1),
    "all_gather_object": lambda g: g.all_gather_object("x"),
    "broadcast_object": lambda g: g.broadcast_object("x", 1),
    "allocate": lambda g: g.allocate(1 << 20),
    "new_group": lambda g: g.new_group([0]),
    "all_reduce in the background": lambda g: waited(g.all_reduce(SMALL, async_op=True)),
    "irecv": lambda g: waited(g.irecv(SMALL, 1)),
}


def waited(work: Work | None) -> None:
    assert work is not None
    work.wait()


def raise_uncaught() -> None:
    with open(os.devnull, "w") as null, contextlib.redirect_stderr(null):
        sys.excepthook(ValueError, ValueError("bad sample"), None)
    os._exit(1)


def lost_after(call: Callable[[], object]) -> tuple[str, tuple[int, ...], float]:
    """Message and ranks of the PeerLostError of a call, and after how many seconds it came."""
    start_s = time.monotonic()
    with pytest.raises(PeerLostError) as caught:
        call()
    return str(caught.value), caught.value.ranks, time.monotonic() - start_s
