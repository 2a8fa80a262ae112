"""Rows of `ops/pad.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.nn.functional import pad
from disttorch.testing.opspec.spec import OpSpec, floats, sample

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _pairs(x: np.ndarray, pads: Any) -> list[tuple[int, int]]:
    given = [(pads[i], pads[i + 1]) for i in range(0, len(pads), 2)]
    return [(0, 0)] * (x.ndim - len(given)) + given[::-1]


def _constant(x: np.ndarray, pads: Any, value: float = 0) -> np.ndarray:
    if not x.ndim:
        return x
    pairs = _pairs(x, pads)
    grown = np.pad(x, [(max(0, a), max(0, b)) for a, b in pairs], constant_values=value)
    cut = tuple(
        slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(grown.shape, pairs, strict=True)
    )
    return grown[cut]


def _repeated(x: np.ndarray, pads: Any, mode: str) -> np.ndarray:
    return np.pad(x, _pairs(x, pads), mode=_MODES[mode])  # type: ignore[call-overload]


SPECS = (
    OpSpec(
        "constant_pad_nd",
        ref=_constant,
        samples=(
            sample(floats(), ()),
            sample(floats(3), (1, 2)),
            sample(floats(2, 3), (1, 0, 0, 2), 1.5),
            sample(floats(2, 3), (-1, 1)),
            sample(floats(2, 0), (1, 2)),
        ),
    ),
    *(
        OpSpec(
            f"pad_{mode}",
            op=pad,
            ref=_repeated,
            samples=(
                sample(floats(2, 3), (1, 2), mode),
                sample(floats(1, 3, 4), (2, 1, 0, 2), mode),
                sample(floats(0, 2, 3), (1, 1), mode),
            ),
            skip={"0-d": "needs dimensions"},
        )
        for mode in _MODES
    ),
)
