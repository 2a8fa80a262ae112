"""Rows of `ops/shape_copy.py`: those of the views, under the names of the copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from disttorch.testing.opspec import cast, join, shape
from disttorch.testing.opspec.spec import OpSpec, floats, sample

_VIEWS = {spec.name: spec for spec in (*shape.SPECS, *join.SPECS, *cast.SPECS)}
_COPIED = (
    *("as_strided", "diagonal", "expand", "narrow", "permute", "select", "split"),
    *("split_with_sizes", "squeeze", "t", "transpose", "unbind", "unfold", "unsqueeze", "view"),
    *("view_as_complex", "view_as_real"),
)
_UNSAFE = {
    "unsafe_chunk": "chunk",
    "unsafe_split_with_sizes": "split_with_sizes",
}
_FIRST = tuple(sample(floats(*shape)) for shape in ((), (2, 3), (2, 0)))

SPECS = (
    *(replace(_VIEWS[name], name=f"{name}_copy", op=None) for name in _COPIED),
    *(replace(_VIEWS[view], name=name, op=None) for name, view in _UNSAFE.items()),
    *(OpSpec(name, ref=lambda x: x, samples=_FIRST) for name in ("alias_copy", "detach_copy")),
    OpSpec(
        "unsafe_split",
        ref=lambda x, n: tuple(np.split(x, range(n, x.shape[0], n)) if x.size else (x,)),
        samples=(sample(floats(5), 2), sample(floats(4, 2), 3), sample(floats(0, 2), 1)),
        skip={"0-d": "needs dimensions"},
    ),
    OpSpec(
        "slice_copy",
        ref=lambda x, dim, start, end: x.take(range(x.shape[dim])[start:end], dim),
        samples=(sample(floats(4, 3), 0, 1, 3), sample(floats(2, 0), 0, -1, None)),
        skip={"0-d": "needs dimensions"},
    ),
)
