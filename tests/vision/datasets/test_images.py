"""What every in-memory image data set does."""

import numpy as np
import pytest

from disttorch.vision.datasets.images import ImageDataset

IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
LABELS = np.array([3, 1, 2, 0], np.uint8)


def test_bulk_tensors_hold_everything():
    dataset = ImageDataset(IMAGES, LABELS)
    assert (str(dataset.data.dtype), str(dataset.targets.dtype)) == ("torch.uint8", "torch.int64")
    np.testing.assert_array_equal(dataset.data.numpy(), IMAGES)
    np.testing.assert_array_equal(dataset.targets.numpy(), LABELS)


def test_samples_pass_through_their_transforms():
    dataset = ImageDataset(IMAGES, LABELS, lambda image: image.sum(), lambda label: -label)
    assert len(dataset) == 4
    assert [dataset[i] for i in (0, 3, -1)] == [(15, -3), (123, 0), (123, 0)]


def test_without_transforms_image_and_int():
    image, label = ImageDataset(IMAGES, LABELS)[1]
    np.testing.assert_array_equal(image, IMAGES[1])
    assert image.dtype == np.uint8
    assert type(label) is int


def test_iteration_ends():
    assert len(list(ImageDataset(IMAGES, LABELS))) == 4


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="4 images but 3 labels"):
        ImageDataset(IMAGES, LABELS[:3])
