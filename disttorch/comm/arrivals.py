"""Waiting at the store for what other ranks tell there, as long as these live."""

from __future__ import annotations

from collections.abc import Sequence

from disttorch.comm.deadline import Deadline
from disttorch.comm.env import exit_key
from disttorch.comm.errors import PeerLostError, StoreTimeoutError
from disttorch.comm.store.base import Store
from disttorch.comm.transport.process import ProcessWatch

# How often a rank that waits for others asks whether they have ended.
_ASK_EVERY_S = 0.5


def wait_for_ranks(
    store: Store,
    rank: int,
    keys: Sequence[str],
    attempt: int,
    deadline: Deadline,
    watch: ProcessWatch | None = None,
) -> None:
    """Return when each rank has set its key, `keys[r]`.

    Raises PeerLostError if one ended first, as the launcher tells or `watch` sees, and
    StoreTimeoutError, which names those that did not come.
    """
    while True:
        try:
            store.wait(keys, min(_ASK_EVERY_S, deadline.remaining_s()))
            return
        except StoreTimeoutError:
            missing = [peer for peer, key in enumerate(keys) if not store.check([key])]
        for peer in missing:
            if store.check([exit_key(attempt, peer)]):
                how = store.get(exit_key(attempt, peer)).decode(errors="replace")
                _raise_lost(rank, peer, how or "ended")
        for peer in sorted(watch.ended()) if watch is not None else ():
            _raise_lost(rank, peer, "died")
        if missing and deadline.expired():
            names = ", ".join(map(str, missing))
            raise StoreTimeoutError(
                f"rank {rank}: waited {deadline.timeout_s:g} s for rank {names} of {len(keys)} to "
                f"call init_process_group. Are all ranks started, and do all reach that call?"
            )


def _raise_lost(rank: int, peer: int, how: str) -> None:
    raise PeerLostError(
        f"rank {rank}: rank {peer} {how} before it joined the process group. All ranks must call "
        f"init_process_group.",
        [peer],
    )
