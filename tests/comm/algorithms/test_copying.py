"""Copies are right wherever the arrays lie to each other and to pages."""

from __future__ import annotations

import numpy as np
import pytest

from disttorch.comm.algorithms.copying import (
    PAGE,
    address_of,
    clashes,
    copy,
    empty_beside,
    flat_of,
    kept_apart,
)


def at_page_offset(offset: int, size: int) -> np.ndarray:
    memory = np.zeros(size + 2 * PAGE, np.uint8)
    start = (offset - address_of(memory)) % PAGE
    return memory[start : start + size]


@pytest.mark.parametrize("dtype", ["u1", "f4", "c16", "M8[s]", "?"])
@pytest.mark.parametrize("distance", [0, 16, 48, 64, 4080])
@pytest.mark.parametrize("nbytes", [0, 48, 96_000])
def test_copies_at_all_distances(dtype: str, distance: int, nbytes: int) -> None:
    source = at_page_offset(16, nbytes)
    source[...] = np.arange(nbytes) % 2
    target = at_page_offset(16 + distance, nbytes + 16)
    copy(target[:nbytes].view(dtype), source.view(dtype))
    assert target[:nbytes].tobytes() == source.tobytes()
    assert not target[nbytes:].any()


def test_a_clash_is_a_target_less_than_a_line_ahead_in_the_page() -> None:
    found = [d for d in range(-128, 128) if clashes(10 * PAGE + 100 + d, 100)]
    assert found == list(range(1, 64))


@pytest.mark.parametrize("source", [0, 16, 4095, 10 * PAGE + 48])
def test_memory_beside_a_source_does_not_clash_with_it(source: int) -> None:
    for nbytes in (1, 100, PAGE, 3 * PAGE + 1):
        target = empty_beside(source, nbytes)
        assert target.nbytes == nbytes
        assert (address_of(target) - source) % PAGE == 0


def test_what_is_flat_has_no_gaps() -> None:
    memory = np.arange(24).reshape(4, 6)
    given = (memory, memory.T, memory[:, ::2], memory[0, ::2], memory[::-1, 0], memory[2, 3, ...])
    for array in given:
        flat = flat_of(array)
        assert flat.flags.c_contiguous and flat.tolist() == [int(x) for x in array.flat]
    assert np.shares_memory(flat_of(memory), memory)


@pytest.mark.parametrize(
    ("source", "targets", "in_step", "is_copied"),
    [
        ((0, 4), [(4, 8)], True, False),
        ((0, 4), [(0, 4)], True, False),
        ((0, 4), [(0, 4)], False, True),
        ((0, 4), [(0, 2), (8, 9)], True, False),
        ((1, 4), [(0, 2), (8, 9)], True, True),
        ((4, 8), [(0, 4), (8, 12)], True, False),
        ((4, 8), [(0, 5), (8, 12)], True, True),
        ((0, 4), [(3, 7)], True, True),
    ],
)
def test_inputs_are_copied_where_writing_would_change_them(
    source, targets, in_step, is_copied
) -> None:
    memory = np.arange(12)
    given = memory[slice(*source)]
    (kept,) = kept_apart([given], [memory[slice(*t)] for t in targets], in_step=in_step)
    assert np.array_equal(kept, given)
    assert np.shares_memory(kept, memory) is not is_copied
