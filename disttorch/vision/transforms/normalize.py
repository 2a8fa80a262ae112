"""`Normalize`: channels to zero mean and unit deviation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from disttorch.tensor import Tensor


class Normalize:
    """(image - mean) / std per channel, on floating tensors (..., C, H, W).

    `mean` and `std` hold one number for each channel, or one for all. TypeError for integer
    tensors, ValueError for fewer than three dimensions or a std of zero.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean, self.std, self.inplace = mean, std, inplace
        self._mean, self._std = (np.asarray(v, np.float64).reshape(-1, 1, 1) for v in (mean, std))

    def __call__(self, tensor: Tensor) -> Tensor:
        """Normalise `tensor` (..., C, H, W), in place if so asked."""
        if not isinstance(tensor, Tensor):
            raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
        if not tensor.is_floating_point():
            raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
        if tensor.ndim < 3:
            raise ValueError(
                "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
                f"{tensor.size()}"
            )
        pixels = tensor.detach().numpy()
        mean, std = self._mean.astype(pixels.dtype), self._std.astype(pixels.dtype)
        if not std.all():
            raise ValueError(
                f"std evaluated to zero after conversion to {tensor.dtype}, leading to division "
                "by zero."
            )
        if not self.inplace:
            return Tensor._wrap((pixels - mean) / std)
        pixels -= mean
        pixels /= std
        return tensor

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"
