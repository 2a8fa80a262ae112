"""`Digits`: 1,797 handwritten digits that come with the package (origin and licence: DIGITS.md)."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from disttorch.vision.datasets.images import ImageDataset, Transform

N_TRAIN = 1500


class Digits(ImageDataset):
    """UCI's optical handwritten digits: 8x8 images with values 0 to 16, classes 0 to 9.

    The split is fixed and keeps the order of the file: the first 1,500 images train, the last 297
    test. Images of one writer stand together there, so the test images are mostly by writers that
    training has not seen, and each class has 27 to 33 of them.
    """

    classes = tuple(str(digit) for digit in range(10))

    def __init__(
        self,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        part = slice(None, N_TRAIN) if train else slice(N_TRAIN, None)
        with (
            (files(__package__) / "digits.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as archive,
        ):
            images, labels = archive["images"][part], archive["targets"][part]
        self.train = train
        super().__init__(images, labels, transform, target_transform)
