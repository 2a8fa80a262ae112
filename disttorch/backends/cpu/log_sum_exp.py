"""log(sum(exp(x))) over dimensions before the last: whole rows are added to a running total."""

from __future__ import annotations

import math

import numpy as np

from disttorch.backends.cpu.jit.rows import row_kernel, run_rows

Array = np.ndarray

_SMALL = 1 << 14  # elements up to which it does not matter
_NARROW = 64  # elements a row from which whole rows pay
_BLOCK = 1 << 15  # elements of the rows worked on at a time


def of_columns(x: Array, axis: tuple[int, ...]) -> Array | None:
    """Return the result with the adjacent dimensions `axis` kept, None if this is not the way."""
    dims = sorted(d % x.ndim for d in axis)
    if x.size < _SMALL or x.dtype.char not in "fd" or not x.flags.c_contiguous:
        return None
    if dims != list(range(dims[0], dims[-1] + 1)):
        return None
    before, after = x.shape[: dims[0]], x.shape[dims[-1] + 1 :]
    inner = math.prod(after)
    if inner < _NARROW:
        return None
    stacks = x.reshape(math.prod(before), -1, inner)
    y = np.empty((len(stacks), inner), x.dtype)
    for rows, out in zip(stacks, y, strict=True):
        top = rows.max(0)
        top[~np.isfinite(top)] = 0  # inf - inf is NaN
        _add_exponentials(rows, top, out)
        np.add(np.log(out), top, out=out)
    return y.reshape(*before, *(1,) * len(dims), *after)


def _add_exponentials(rows: Array, top: Array, out: Array) -> None:
    """Write the sum of exp(row - top) over (n, inner) rows into `out`."""
    out.fill(0)
    kernel = row_kernel("sum_exp_of_columns", rows, top)
    if kernel is not None:
        run_rows(kernel, (rows, top, out), (rows.shape[1], 128))
        return
    step = max(1, _BLOCK // rows.shape[1])
    scratch = np.empty((min(step, len(rows)), rows.shape[1]), rows.dtype)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        part = np.subtract(block, top, out=scratch[: len(block)])
        np.exp(part, out=part)
        out += part.sum(0)
