"""Rows of `ops/pool*.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from disttorch.ops import pool, pool_adaptive, pool_average
from disttorch.testing.opspec.spec import OpSpec, Sample, distinct, floats, sample

_SKIP = {"0-d": "needs a channel and spatial dimensions"}


def _tuple(value: Any, n: int) -> tuple[int, ...]:
    return (value,) * n if isinstance(value, int) else tuple(value)


def _cells(x: np.ndarray, cells: list[list[tuple[int, ...]]], reduce: Callable[..., Any]) -> Any:
    """Call `reduce` with the positions of every cell of a grid; cells are index tuples a dim."""
    n = len(cells)
    grid = [len(c) for c in cells]
    y = np.zeros((*x.shape[:-n], *grid), x.dtype)
    index = np.zeros(y.shape, np.int64)
    for at in product(*(range(m) for m in grid)):
        where = [cells[d][i] for d, i in enumerate(at)]
        flat = [np.ravel_multi_index(p, x.shape[-n:]) for p in product(*where)]
        values = x.reshape(*x.shape[:-n], math.prod(x.shape[-n:]))[..., flat]
        y[(..., *at)] = reduce(values)
        if values.size:
            index[(..., *at)] = np.asarray(flat)[values.argmax(-1)]
    return y, index


def _windows(
    x: np.ndarray, n: int, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> list[list[tuple[int, ...]]]:
    """Positions inside the image that each window covers, a dim."""
    kernel = _tuple(kernel, n)
    stride = kernel if stride is None else _tuple(stride, n)
    cells = []
    for m, k, s, p, d in zip(
        x.shape[-n:], kernel, stride, _tuple(padding, n), _tuple(dilation, n), strict=True
    ):
        count = (m + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
        starts = [o * s - p for o in range(count) if not ceil_mode or o * s < m + p]
        cells.append([tuple(a + i * d for i in range(k) if 0 <= a + i * d < m) for a in starts])
    return cells


def _max(n: int, indices: bool) -> Callable[..., Any]:
    def reference(
        x: np.ndarray,
        kernel: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        cells = _windows(x, n, kernel, stride, padding, dilation, ceil_mode)
        found = _cells(x, cells, lambda v: v.max(-1))
        return found if indices else found[0]

    return reference


def _average(n: int) -> Callable[..., Any]:
    def reference(
        x: np.ndarray,
        kernel: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        cells = _windows(x, n, kernel, stride, padding, 1, ceil_mode)
        if divisor_override or (count_include_pad and padding):
            by = divisor_override or math.prod(_tuple(kernel, n))
            return _cells(x, cells, lambda v: v.sum(-1) / by)[0]
        return _cells(x, cells, lambda v: v.mean(-1))[0]

    return reference


def _adaptive(n: int, reduce: Callable[..., Any], indices: bool) -> Callable[..., Any]:
    def reference(x: np.ndarray, output_size: Any) -> Any:
        grid = [
            m if o is None else o
            for m, o in zip(
                x.shape[-n:], _tuple(output_size, n) if output_size else (None,) * n, strict=True
            )
        ]
        cells = [
            [tuple(range(i * m // o, math.ceil((i + 1) * m / o))) for i in range(o)]
            for m, o in zip(x.shape[-n:], grid, strict=True)
        ]
        found = _cells(x, cells, reduce)
        return found if indices else found[0]

    return reference


_SHAPES: dict[int, tuple[int, ...]] = {1: (7,), 2: (5, 6), 3: (3, 4, 3)}
_EMPTY = {1: (0, 2, 7), 2: (0, 2, 5, 6), 3: (0, 2, 3, 4, 3)}


def _max_samples(n: int) -> tuple[Sample, ...]:
    image = _SHAPES[n]
    return (
        sample(distinct(2, 2, *image), 2),
        sample(distinct(1, *image), (2,) * n, (1,) * n, padding=1),
        sample(distinct(1, 1, *image), 2, 2, 1, ceil_mode=True),
        sample(distinct(1, 1, *image), 2, 1, dilation=2),
        sample(distinct(*_EMPTY[n]), 2),
    )


def _average_samples(n: int) -> tuple[Sample, ...]:
    image = _SHAPES[n]
    more = (sample(floats(1, 1, *image), 2, divisor_override=3),) if n > 1 else ()
    return (
        sample(floats(2, 2, *image), 2),
        sample(floats(1, *image), (3,) * n, 2, padding=1),
        sample(floats(1, 1, *image), 3, 1, 1, count_include_pad=False),
        sample(floats(1, 1, *image), 2, 2, ceil_mode=True),
        sample(floats(*_EMPTY[n]), 2),
        *more,
    )


def _adaptive_samples(n: int) -> tuple[Sample, ...]:
    image = _SHAPES[n]
    return (
        sample(distinct(2, 1, *image), 1),
        sample(distinct(1, *image), (2,) * n),
        sample(distinct(1, 1, *image), image),
        sample(distinct(1, 1, *image), (3, 2, 2)[:n]),
        sample(distinct(*_EMPTY[n]), 1),
    )


def _rows(n: int) -> tuple[OpSpec, ...]:
    with_indices = f"max_pool{n}d_with_indices"
    adaptive_max, adaptive_avg = f"adaptive_max_pool{n}d", f"adaptive_avg_pool{n}d"
    return (
        OpSpec(f"max_pool{n}d", ref=_max(n, False), samples=_max_samples(n), skip=_SKIP),
        OpSpec(
            with_indices,
            op=getattr(pool, with_indices),
            ref=_max(n, True),
            samples=_max_samples(n),
            skip=_SKIP,
        ),
        OpSpec(
            f"avg_pool{n}d",
            op=getattr(pool_average, f"avg_pool{n}d"),
            ref=_average(n),
            samples=_average_samples(n),
            skip=_SKIP,
        ),
        OpSpec(
            adaptive_avg,
            op=getattr(pool_adaptive, adaptive_avg),
            ref=_adaptive(n, lambda v: v.mean(-1), False),
            samples=_adaptive_samples(n),
            skip=_SKIP,
        ),
        OpSpec(
            adaptive_max,
            op=getattr(pool_adaptive, adaptive_max),
            ref=_adaptive(n, lambda v: v.max(-1), True),
            samples=_adaptive_samples(n),
            skip=_SKIP,
        ),
    )


SPECS = tuple(row for n in (1, 2, 3) for row in _rows(n))
