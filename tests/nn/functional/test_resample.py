"""Weights of resampling, and resizing by them."""

import pytest

import disttorch as torch
from disttorch.autograd.gradcheck import gradcheck
from disttorch.nn import functional as F
from disttorch.nn.functional.resample import resampling

MODES = [("bicubic", False), ("bicubic", True), ("bilinear", True), ("lanczos", True)]


@pytest.mark.parametrize("n_out", [1, 3, 5, 12])
@pytest.mark.parametrize(("mode", "antialias"), MODES)
def test_weights_add_up_to_one(mode, antialias, n_out):
    rows = resampling(5, n_out, None, False, mode, antialias)
    assert len(rows) == n_out
    assert all(sum(row.values()) == pytest.approx(1) for row in rows)
    assert all(0 <= i < 5 for row in rows for i in row)


@pytest.mark.parametrize(("mode", "antialias"), MODES)
def test_the_same_size_is_the_same_image(mode, antialias):
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64)
    assert torch.allclose(F.interpolate(x, (4, 5), mode=mode, antialias=antialias), x)


@pytest.mark.parametrize(("mode", "antialias"), MODES)
def test_gradient(mode, antialias):
    x = torch.randn(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: F.interpolate(x, (3, 7), mode=mode, antialias=antialias), [x])


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_images_of_bytes_stay_bytes(mode):
    x = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8).reshape(1, 1, 2, 2)
    y = F.interpolate(x, (4, 4), mode=mode)
    assert y.dtype is torch.uint8
    assert y[0, 0, 0, 0].item() == 0
    assert y[0, 0, 0, 3].item() == 255


def test_corners_stay_where_they_are():
    x = torch.randn(1, 1, 3, 3)
    y = F.interpolate(x, (5, 5), mode="bicubic", align_corners=True)
    assert torch.allclose(y[..., ::2, ::2], x, atol=1e-6)


@pytest.mark.parametrize("name", ["upsample", "upsample_nearest", "upsample_bilinear"])
def test_old_names_warn(name):
    with pytest.warns(UserWarning, match=f"{name}. is deprecated"):
        assert getattr(F, name)(torch.ones(1, 1, 2, 2), scale_factor=2).shape == (1, 1, 4, 4)
