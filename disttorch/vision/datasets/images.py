"""`ImageDataset`: images and labels held whole in memory, with optional transforms per sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.ops.create import from_numpy
from disttorch.tensor import Tensor
from disttorch.utils.data.dataset import Dataset

Transform = Callable[[Any], Any]


class ImageDataset(Dataset[Any]):
    """N images with one label each.

    `data` (N, H, W) uint8 and `targets` (N,) int64 are tensors of everything at once: the quick
    way to a `TensorDataset`. Indexing gives one ``(image, label)`` pair, image (H, W) uint8 as an
    ndarray (an image library is not needed) and label an int, each passed through its transform.
    """

    data: Tensor
    targets: Tensor

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images but {len(labels)} labels")
        self.transform = transform
        self.target_transform = target_transform
        self.data = from_numpy(np.ascontiguousarray(images, dtype=np.uint8))
        self.targets = from_numpy(labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image: Any = self.data.numpy()[index]
        label: Any = int(self.targets.numpy()[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images of {tuple(self.data.shape[1:])})"
