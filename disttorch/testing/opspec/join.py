"""Rows of `ops/join.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.shape import NO_0D, calls
from disttorch.testing.opspec.spec import OpSpec, Sample, floats, sample


def _parts(x: np.ndarray, lengths: Any, dim: int = 0) -> tuple[np.ndarray, ...]:
    if isinstance(lengths, int):
        return tuple(np.split(x, range(lengths, x.shape[dim], lengths), dim))
    return tuple(np.split(x, np.cumsum(lengths)[:-1], dim))


def _pairs(*shapes: tuple[int, ...], **kwargs: Any) -> tuple[Sample, ...]:
    return tuple(sample([floats(*s), floats(*s)], **kwargs) for s in shapes)


JOINS = (
    OpSpec(
        "cat",
        ref=lambda xs, dim=0: np.concatenate(xs, dim),
        samples=(
            *_pairs((3,), (2, 3), (2, 0)),
            sample([floats(2, 3), floats(2, 1), floats(2, 2)], dim=-1),
        ),
        aliases=("concat", "concatenate"),
        skip=NO_0D,
    ),
    OpSpec(
        "stack",
        ref=lambda xs, dim=0: np.stack(xs, dim),
        samples=(*_pairs((), (2, 3), (2, 0)), *_pairs((2, 3), dim=-1), *_pairs((2, 3), dim=1)),
    ),
    *(
        OpSpec(name, ref=getattr(np, name), samples=_pairs((), (3,), (2, 3), (2, 0)))
        for name in ("hstack", "vstack", "dstack")
    ),
    OpSpec("row_stack", ref=np.vstack, samples=_pairs((), (3,), (2, 3), (2, 0))),
    OpSpec("column_stack", ref=np.column_stack, samples=_pairs((3,), (2, 3), (2, 0)), skip=NO_0D),
    OpSpec(
        "block_diag",
        ref=lambda x, y: np.block(
            [[x, np.zeros((x.shape[0], y.shape[1]))], [np.zeros((y.shape[0], x.shape[1])), y]]
        ),
        samples=(sample(floats(2, 1), floats(1, 2)), sample(floats(0, 2), floats(1, 1))),
        skip=NO_0D,
    ),
)

PARTS = (
    OpSpec(
        "split",
        ref=_parts,
        samples=(*calls((5,), (5, 0), args=(2,)), *calls((2, 3), args=([1, 2], 1))),
        skip=NO_0D,
    ),
    OpSpec(
        "split_with_sizes",
        ref=_parts,
        samples=(*calls((3,), (3, 0), args=([1, 2],)), *calls((2, 3), args=([0, 3], 1))),
        skip=NO_0D,
    ),
    OpSpec(
        "chunk",
        ref=lambda x, n, dim=0: _parts(x, -(-x.shape[dim] // n), dim),
        samples=(*calls((5,), (5, 0), args=(4,)), *calls((2, 3), args=(2, -1))),
        skip=NO_0D,
    ),
    OpSpec(
        "tensor_split",
        ref=lambda x, n, dim=0: tuple(np.array_split(x, n, dim)),
        samples=(*calls((7,), (7, 0), args=(3,)), *calls((2, 5), args=((1, 3), 1))),
        skip=NO_0D,
    ),
    *(
        OpSpec(
            f"{letter}split",
            ref=lambda x, n, name=f"{letter}split": tuple(getattr(np, name)(x, n)),
            samples=calls((2, 2, 2), (2, 2, 2, 0), args=(2,)),
            skip=NO_0D,
        )
        for letter in "hvd"
    ),
    OpSpec(
        "unbind",
        ref=lambda x, dim=0: tuple(np.moveaxis(x, dim, 0)),
        samples=(*calls((3,), (2, 3), (2, 0)), *calls((2, 3), args=(-1,))),
        skip=NO_0D,
    ),
)

SPECS = (*JOINS, *PARTS)
