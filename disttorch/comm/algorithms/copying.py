"""Copies between flat arrays of one dtype and size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from disttorch.comm.transport.arena import Array

PAGE = 4096
_LINE = 64
# Below this a slow copy costs less than to find out where the arrays lie.
_LOOK_FROM_BYTES = 16 << 10


def address_of(array: Array) -> int:
    """Where the first element lies."""
    address: int = array.__array_interface__["data"][0]
    return address


def clashes(target: int, source: int) -> bool:
    """Whether a copy between these addresses meets a slow case of the processor's string copy.

    With a target less than a cache line behind its source, modulo the page, `rep movsb` of current
    processors, and so memcpy and the kernel, run at a quarter of their speed. Large blocks of
    malloc lie like that to each other and to pages.
    """
    return 0 < (target - source) % PAGE < _LINE


def empty_beside(source: int, nbytes: int) -> Array:
    """An uninitialised flat uint8 array to copy to from the address `source` at full speed."""
    whole = np.empty(nbytes + PAGE, np.uint8)
    first = (source - address_of(whole)) % PAGE
    return whole[first : first + nbytes]


def copier(target: int, source: int) -> Callable[[Array, Array], None]:
    """The function that copies to `target` from `source`, addresses, at full speed.

    It serves all pairs of addresses with the same distance, modulo the page.
    """
    return _by_vectors if clashes(target, source) else _by_memcpy


def copy(target: Array, source: Array) -> None:
    """Copy `source` to `target`, both contiguous; at full speed wherever they lie."""
    if target.nbytes >= _LOOK_FROM_BYTES:
        copier(address_of(target), address_of(source))(target, source)
    else:
        target[...] = source


def flat_of(array: Array) -> Array:
    """The elements of an array that is only read, one after another: a copy where it is strided.

    One dimension with gaps is a view of itself to `reshape`, but memory is sent as it lies.
    """
    return array.reshape(-1) if array.flags.c_contiguous else array.flatten()


def kept_apart(
    sources: Sequence[Array], targets: Sequence[Array], *, in_step: bool = True
) -> Sequence[Array]:
    """The flat `sources`, copied where it would matter that `targets` are written chunk by chunk.

    That is where they overlap, unless ways go through them `in_step` and they begin at one place:
    then a chunk is read before it, and nothing that is yet to be read, is written.
    """
    spans = [(address_of(array), _end(array)) for array in targets]
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    if all(address_of(array) >= high or low >= _end(array) for array in sources):
        return sources
    return [array.copy() if _clash(array, spans, in_step) else array for array in sources]


def _end(array: Array) -> int:
    return address_of(array) + array.nbytes


def _clash(array: Array, spans: Sequence[tuple[int, int]], in_step: bool) -> bool:
    first, end = address_of(array), _end(array)
    return any(
        start < end and first < stop and not (in_step and start == first) for start, stop in spans
    )


def _by_memcpy(target: Array, source: Array) -> None:
    target[...] = source


def _by_vectors(target: Array, source: Array) -> None:
    # A ufunc's own loop copies with vector registers.
    np.positive(source.view(np.uint8), out=target.view(np.uint8))
