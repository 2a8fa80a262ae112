"""When the kernels of `row_kernels` are used, and the threads that share their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from disttorch.backends.cpu.jit.switch import pays
from disttorch.backends.cpu.workers import run_pieces

Array = np.ndarray

_PIECE = 1 << 17  # elements of the rows that a thread takes at a time
_SMALL = 1 << 14  # below, the calls cost more than the passes they save


@cache
def _kernel(name: str) -> Callable[..., None]:
    from disttorch.backends.cpu.jit import row_kernels  # noqa: PLC0415 - imports Numba

    kernel: Callable[..., None] = getattr(row_kernels, name)
    return kernel


def row_kernel(name: str, *arrays: Array | None) -> Callable[..., None] | None:
    """Return the kernel, if it is worth while for these arrays: float32, contiguous matrices."""
    x = arrays[0]
    if x is None or x.size < _SMALL:
        return None
    if any(a is not None and (a.dtype != np.float32 or not a.flags.c_contiguous) for a in arrays):
        return None
    return _kernel(name) if pays(name, x.size) else None


def run_rows(kernel: Callable[..., None], arguments: Sequence[Any], shape: tuple[int, int]) -> None:
    """Call ``kernel(*arguments, start, stop)`` on pieces of the rows, in several threads."""
    step = max(1, _PIECE // max(1, shape[1]))

    def work(i: int) -> None:
        kernel(*arguments, i * step, min((i + 1) * step, shape[0]))

    run_pieces(work, -(-shape[0] // step))
