"""`ToTensor`: an image as it is read, (H, W[, C]), to a tensor as it is trained on, (C, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.ops.create import from_numpy
from disttorch.tensor import Tensor

# Pillow's modes whose arrays need more than a copy; the others come as uint8 already.
WIDE_MODES = {"I": np.int32, "I;16": np.int16, "F": np.float32}


class ToTensor:
    """Image (H, W) or (H, W, C), an ndarray or a Pillow image, to a tensor (C, H, W).

    uint8 becomes float32 between 0 and 1; other dtypes keep their values. TypeError for anything
    that is no image, ValueError for an array that has neither 2 nor 3 dimensions.
    """

    def __call__(self, pic: Any) -> Tensor:
        """Convert one image, which is left as it is."""
        array = _pixels(pic)
        if array.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
        channels_first = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        if array.dtype != np.uint8:
            return from_numpy(np.array(channels_first, order="C"))
        return from_numpy(np.divide(channels_first, np.float32(255), dtype=np.float32, order="C"))

    def __repr__(self) -> str:
        return "ToTensor()"


def _pixels(pic: Any) -> np.ndarray:
    """Array of `pic`: itself, or a Pillow image's pixels (known by its `mode`, without Pillow)."""
    if isinstance(pic, np.ndarray):
        return pic
    mode = getattr(pic, "mode", None)
    if not isinstance(mode, str) or not hasattr(pic, "getbands"):
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    array = np.asarray(pic, dtype=WIDE_MODES.get(mode, np.uint8))
    return array * np.uint8(255) if mode == "1" else array
