"""Images of every layout become (C, H, W) tensors."""

import numpy as np
import pytest

from disttorch.vision.transforms import ToTensor

GREY = np.array([[0, 51], [102, 255]], np.uint8)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (GREY, GREY[None] / np.float32(255)),
        (np.dstack([GREY, GREY[::-1]]), np.stack([GREY, GREY[::-1]]) / np.float32(255)),
        (GREY.astype(np.float64), GREY[None].astype(np.float64)),
        (GREY.astype(np.int32), GREY[None].astype(np.int32)),
        (np.zeros((0, 2), np.uint8), np.zeros((1, 0, 2), np.float32)),
    ],
)
def test_layout_and_scale(image, expected):
    kept = image.copy()
    tensor = ToTensor()(image).numpy()
    np.testing.assert_array_equal(tensor, expected)
    assert tensor.dtype == expected.dtype
    assert tensor.flags.c_contiguous
    tensor += 1
    np.testing.assert_array_equal(image, kept)


@pytest.mark.parametrize(
    ("mode", "scale"), [("L", 255), ("RGB", 255), ("1", 255), ("I", 1), ("F", 1)]
)
def test_pillow_images(mode, scale):
    image_library = pytest.importorskip("PIL.Image", reason="the vision extra")
    image = image_library.fromarray(GREY).convert(mode)
    tensor = ToTensor()(image).numpy()
    assert tensor.shape == (len(image.getbands()), 2, 2)
    assert tensor.max() == 255 / scale


@pytest.mark.parametrize(
    ("pic", "error", "complaint"),
    [
        ([[1]], TypeError, "pic should be PIL Image or ndarray. Got <class 'list'>"),
        (np.zeros(3), ValueError, "pic should be 2/3 dimensional. Got 1 dimensions."),
    ],
)
def test_refusals(pic, error, complaint):
    with pytest.raises(error, match=complaint):
        ToTensor()(pic)
