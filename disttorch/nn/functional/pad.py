"""Padding in all modes."""

from __future__ import annotations

from collections.abc import Sequence

from disttorch.ops.pad import constant_pad_nd, indexed_pad, pairs
from disttorch.tensor import Tensor

_MODES = ("reflect", "replicate", "circular")


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Pad the last ``len(pad) / 2`` dimensions, given as (before, after) from the last one back.

    `mode` is "constant" (with `value`), "reflect", "replicate" or "circular". Raises RuntimeError
    or NotImplementedError for pads or ranks that the mode does not take.
    """
    pads = pairs(input, pad)
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    n = len(pad)
    if n not in (2, 4, 6) or input.ndim not in (n // 2 + 1, n // 2 + 2):
        raise NotImplementedError(
            f"Padding size {n} is not supported for {input.ndim}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    if mode not in _MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    return indexed_pad(input, pads, mode)
