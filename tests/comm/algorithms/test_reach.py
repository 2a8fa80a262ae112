"""What ranks read of each other goes to where the kernel's copy is quick."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from disttorch.comm.algorithms import reach
from disttorch.comm.algorithms.choice import Way
from disttorch.comm.algorithms.copying import PAGE, address_of, clashes
from disttorch.comm.group import ProcessGroup
from tests.comm.algorithms.test_choice import forced
from tests.comm.ranks import run_ranks

# One of these is less than a line from wherever a block may begin.
OFFSETS = range(0, PAGE, 48)
# Shorter reads are not worth a detour.
SHORT_BYTES = 32 << 10
N_ITEMS = 1 << 16


def at_page_offset(offset: int) -> np.ndarray:
    memory = np.ones(4 * N_ITEMS + 2 * PAGE, np.uint8)
    start = (offset - address_of(memory)) % PAGE
    return memory[start : start + 4 * N_ITEMS].view(np.float32)


def all_reduce(group: ProcessGroup, array: np.ndarray) -> None:
    array[...] = np.arange(N_ITEMS) + group.rank
    group.all_reduce(array)
    np.testing.assert_array_equal(array, 2 * np.arange(N_ITEMS) + 1)


def all_to_all(group: ProcessGroup, array: np.ndarray) -> None:
    sent = at_page_offset(0)
    sent[...] = np.arange(N_ITEMS) * (group.rank + 1)
    group.all_to_all_single(array, sent)
    half = np.split(np.arange(N_ITEMS), 2)[group.rank]
    np.testing.assert_array_equal(array, np.concatenate([half, 2 * half]))


@pytest.mark.parametrize("call", [all_reduce, all_to_all])
def test_no_long_read_meets_the_slow_copy(
    call: Callable[[ProcessGroup, np.ndarray], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = reach.read_memory, []

    def watched(pid: int, address: int, into: np.ndarray) -> None:
        seen.append((into.nbytes, clashes(address_of(into), address)))
        read(pid, address, into)

    def body(group: ProcessGroup) -> None:
        monkeypatch.setattr(reach, "read_memory", watched)
        with forced(call.__name__, Way.REACH):
            for offset in OFFSETS:
                # Ranks allocate alike, but not quite: here each next one lies a little further.
                call(group, at_page_offset(offset + 16 * group.rank))
        long = [slow for nbytes, slow in seen if nbytes > SHORT_BYTES]
        assert len(long) >= len(OFFSETS)
        assert not any(long)

    run_ranks(2, body)
