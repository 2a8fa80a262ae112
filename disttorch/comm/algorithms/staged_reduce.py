"""A reduction in two stages, over the ranks of each host and then over hosts, rounded once.

Short floats travel as float32 from one stage to the other, and AVG and PREMUL_SUM scale only at
the end, so the result is that of one stage but for the order in which floats are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from disttorch.comm.reduce_op import NamedOp, PremulSum, Reduce, ReduceOp, Reduction, reducer
from disttorch.comm.transport.arena import Array

_FLOAT32 = np.dtype(np.float32)
_SCALED = (ReduceOp.AVG, ReduceOp.PREMUL_SUM)
_SUMS = (ReduceOp.SUM, ReduceOp.PRODUCT, *_SCALED)


@dataclass(frozen=True)
class Stages:
    """`first` reduces arrays of the user's dtype to one of `between`, `second` those to the result.

    As in `Reduce`, results and arrays are flat; none of them may overlap.
    """

    between: np.dtype[Any]
    first: Reduce
    second: Reduce


@lru_cache(maxsize=256)
def stages_of(op: Reduction, dtype: np.dtype[Any], n_ranks: int) -> Stages:
    """Both stages of `op` over `n_ranks` ranks in all; TypeError if it cannot do the dtype."""
    if isinstance(op, NamedOp):
        return stages_of(op.op, dtype, n_ranks)
    whole = reducer(op, dtype, n_ranks)
    name = ReduceOp.PREMUL_SUM if isinstance(op, PremulSum) else ReduceOp(op)
    base = ReduceOp.SUM if name in _SCALED else name
    if dtype.itemsize > 2 or dtype.kind not in "fV" or name not in _SUMS:
        return Stages(dtype, reducer(base, dtype, n_ranks), whole)
    second = _narrowed(reducer(op, _FLOAT32, n_ranks))
    return Stages(_FLOAT32, _widened(reducer(base, _FLOAT32, n_ranks)), second)


def _widened(fold: Reduce) -> Reduce:
    def first(out: Array, parts: Sequence[Array]) -> None:
        fold(out, [part.astype(_FLOAT32) for part in parts])

    return first


def _narrowed(fold: Reduce) -> Reduce:
    def second(out: Array, parts: Sequence[Array]) -> None:
        wide = np.empty(out.shape, _FLOAT32)
        fold(wide, parts)
        out[...] = wide

    return second
