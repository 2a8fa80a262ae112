"""The convolution kernels' paths agree: layouts, blocks of images, columns, groups, dtypes."""

import ml_dtypes
import numpy as np
import pytest

from disttorch.backends.cpu import conv
from disttorch.backends.window import Window

WINDOW = Window((3, 2), (2, 1), (1, 0), (1, 2))


def operands(groups=1, dtype="float64", n=3, c=4, o=4):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, 7, 6)).astype(dtype)
    w = rng.standard_normal((o, c // groups, *WINDOW.kernel)).astype(dtype)
    gy = rng.standard_normal((n, o, *WINDOW.outputs((7, 6)))).astype(dtype)
    return x, w, gy


def last(x):
    """The same image with channels last in memory."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def all_three(x, w, gy, groups=1):
    return (
        conv.conv_forward(x, w, None, WINDOW, groups),
        conv.conv_backward_input(gy, w, x.shape[2:], WINDOW, groups),
        conv.conv_backward_weight(x, gy, WINDOW, groups),
    )


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    ("constant", "value"),
    [
        ("_BLOCK_NBYTES", 1),
        ("_LONG_RUN", 1),
        ("_LONG_RUN", 10**6),
        ("_MIN_PIXELS", 1),
        ("_MIN_PIXELS", 10**6),
        ("_FEW_CHANNELS", 1),
        ("_FEW_CHANNELS", 10**6),
    ],
)
def test_every_path_gives_the_same(monkeypatch, groups, constant, value):
    expected = all_three(*operands(groups), groups)
    monkeypatch.setattr(conv, constant, value)
    for a, b in zip(all_three(*operands(groups), groups), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_channels_last_in_channels_last_out(groups):
    x, w, gy = operands(groups)
    expected = all_three(x, w, gy, groups)
    y, gx, gw = all_three(last(x), w, last(gy), groups)
    for a, b in zip((y, gx, gw), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    for images in (y, gx):
        assert images.transpose(0, 2, 3, 1).flags.c_contiguous
    assert expected[0].flags.c_contiguous
    assert gw.flags.c_contiguous


def test_channels_last_weight_makes_the_output_channels_last():
    x, w, _ = operands()
    y = conv.conv_forward(x, last(w), None, WINDOW, 1)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16])
def test_half_precision_accumulates_in_single(dtype):
    x, w, gy = operands(dtype=dtype, c=40)
    results = all_three(x, w, gy)
    wide = all_three(*(a.astype("float64") for a in (x, w, gy)))
    for half, exact in zip(results, wide, strict=True):
        assert half.dtype == dtype
        rounding = float(ml_dtypes.finfo(dtype).eps)
        np.testing.assert_allclose(half.astype("float64"), exact, rtol=rounding, atol=1e-5)


def test_integers_are_exact():
    x, w, gy = (np.round(a * 3).astype(np.int64) for a in operands())
    for whole, floating in zip(
        all_three(x, w, gy), all_three(*(a.astype(float) for a in (x, w, gy))), strict=True
    ):
        assert whole.dtype == np.int64
        np.testing.assert_array_equal(whole, floating)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_one_pixel_kernels_in_both_layouts(n):
    window = Window((1, 1), (1, 1), (0, 0), (1, 1))
    rng = np.random.default_rng(0)
    x, gy = rng.standard_normal((n, 4, 7, 6)), rng.standard_normal((n, 5, 7, 6))
    gw = conv.conv_backward_weight(x, gy, window)
    assert gw.shape == (5, 4, 1, 1)
    expected = np.einsum("nohw,nchw->oc", gy, x)
    np.testing.assert_allclose(gw[..., 0, 0], expected, rtol=1e-10, atol=1e-12)
    if n:
        other = conv.conv_backward_weight(last(x), last(gy), window)
        np.testing.assert_allclose(other, gw, rtol=1e-10, atol=1e-12)
