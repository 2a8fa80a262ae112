"""Reductions of a few arrays, without ranks: dtypes, rounding, and that places make no bits."""

from __future__ import annotations

import itertools
import re

import ml_dtypes
import numpy as np
import pytest

from disttorch.comm.reduce_op import PremulSum, ReduceOp, reducer
from tests.comm.sweep.model import DTYPES, OPS, check_bits, reduced, row

COMPLEX = ("complex64", "complex128")


@pytest.mark.parametrize("op", OPS, ids=str)
def test_every_dtype_and_number_of_ranks(op) -> None:
    for dtype, n_ranks, edges in itertools.product(OPS[op], (1, 2, 3, 8), (False, True)):
        with np.errstate(all="ignore"):
            rows = [row(r, 1001, dtype, edges=edges) for r in range(n_ranks)]
            out = np.empty(1001, dtype)
            reducer(op, dtype, n_ranks)(out, rows)
            check_bits(out, reduced(op, rows), (op, dtype, n_ranks))


@pytest.mark.parametrize("op", OPS, ids=str)
def test_what_an_operation_does_not_know_is_refused(op) -> None:
    for dtype in (*DTYPES, np.dtype("M8[s]"), np.dtype("V3"), np.dtype("S4")):
        if dtype not in OPS[op]:
            for kind in (TypeError, RuntimeError):
                with pytest.raises(kind, match=rf"Cannot use ReduceOp.*{re.escape(dtype.name)}"):
                    reducer(op, dtype, 2)


@pytest.mark.parametrize("op", [op for op, dtypes in OPS.items() if np.dtype("c8") in dtypes])
@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("size", [1, 2, 33, 8193])
def test_bits_do_not_hang_on_where_arrays_lie(op, dtype: str, size: int) -> None:
    """Of one element, or at the end of many, NumPy fuses a product and a sum, or does not."""
    rows = [row(r, size, np.dtype(dtype), edges=False) for r in range(3)]
    reduce = reducer(op, np.dtype(dtype), 3)
    results = []
    for aliased, offset in itertools.product((None, 0, 1), (0, 1)):
        parts = [part.copy() for part in rows]
        memory = np.empty(rows[0].nbytes + 1, np.uint8)
        out = memory[offset : offset + rows[0].nbytes].view(dtype)
        if aliased is not None:
            out[...], parts[aliased] = rows[aliased], out
        reduce(out, parts)
        results.append(out.tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("op", [ReduceOp.AVG, PremulSum(0.5)], ids=str)
@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("n_ranks", [2, 3])
def test_an_infinite_part_leaves_the_other_alone(op, dtype: str, n_ranks: int) -> None:
    rows = [np.array([complex(np.inf, 6), complex(6, -np.inf)], dtype) for _ in range(n_ranks)]
    out = np.empty(2, dtype)
    reducer(op, out.dtype, n_ranks)(out, rows)
    part = 6 if op is ReduceOp.AVG else 3 * n_ranks
    assert out.tolist() == [complex(np.inf, part), complex(part, -np.inf)]


def test_averages_of_integers_go_towards_zero() -> None:
    rows = [np.array([1, -1, 7, -7, 127]), np.array([0, 0, 0, -1, 1])]
    for dtype in "bhil":
        out = np.empty(5, dtype)
        reducer(ReduceOp.AVG, out.dtype, 2)(out, [r.astype(dtype) for r in rows])
        # Sums of 8 bits wrap, as those of NumPy and of PyTorch do.
        assert out.tolist() == [0, 0, 3, -4, -64 if dtype == "b" else 64]


def test_halves_are_rounded_once() -> None:
    one, small = np.array([1.0], ml_dtypes.bfloat16), np.array([1 / 512], ml_dtypes.bfloat16)
    out = np.empty(1, ml_dtypes.bfloat16)
    reducer(ReduceOp.SUM, out.dtype, 5)(out, [one, *[small] * 4])
    assert out[0] == 1 + 1 / 128
