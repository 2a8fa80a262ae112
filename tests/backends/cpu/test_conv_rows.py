"""Convolutions row by row give what those over all windows give, for all geometries."""

import itertools

import numpy as np
import pytest

from disttorch.backends.cpu import conv, conv_rows, image_blocks
from disttorch.backends.window import Window

KERNELS = [(3, 2), (2, 5), (5, 5), (2, 3, 2)]
SIZES = (7, 6, 5)


@pytest.fixture
def small(monkeypatch):
    """Let row by row be chosen for small images too, in blocks of an image or two."""
    monkeypatch.setattr(conv_rows, "_MIN_PIXELS", 1)
    monkeypatch.setattr(conv_rows, "_MIN_PIXELS_BACK", 1)
    monkeypatch.setattr(conv_rows, "_LONG_RUN", 1)
    monkeypatch.setattr(image_blocks, "_BLOCK_NBYTES", 1 << 11)
    monkeypatch.setattr(image_blocks, "get_num_threads", lambda: 2)


def _results(x, w, b, gy, window):
    return (
        conv.conv_forward(x, w, b, window),
        conv.conv_backward_input(gy, w, x.shape[2:], window),
        conv.conv_backward_weight(x, gy, window),
    )


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_row_by_row_agrees_with_all_windows(small, monkeypatch, kernel):
    rng = np.random.default_rng(0)
    fitted = {"fits": 0, "fits_backward_input": 0}
    for stride, padding, dilation, n_in in itertools.product((1, 2), (0, 1, 4), (1, 2), (1, 9)):
        n = len(kernel)
        # The first and the last dimension have windows without gaps, as `fits` wants.
        dilations = (1, *(dilation,) * (n - 2), 1)
        window = Window(kernel, (stride,) * n, (padding,) * n, dilations)
        sizes = SIZES[:n]
        if min(window.outputs(sizes)) < 1:
            continue
        x = rng.standard_normal((5, n_in, *sizes))
        w, b = rng.standard_normal((3, n_in, *kernel)), rng.standard_normal(3)
        gy = rng.standard_normal((5, 3, *window.outputs(sizes)))
        fitted["fits"] += conv_rows.fits(x, w.nbytes, window)
        fitted["fits_backward_input"] += conv_rows.fits_backward_input(gy, w, window)
        found = _results(x, w, b, gy, window)
        with monkeypatch.context() as patch:
            for name in fitted:
                patch.setattr(conv_rows, name, lambda *_: False)
            expected = _results(x, w, b, gy, window)
        for a, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, e, atol=1e-10)
    assert all(fitted.values()), fitted


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_results_do_not_depend_on_threads(monkeypatch, n_threads):
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(s, dtype="f") for s in ((32, 16, 14, 14), (32, 16, 5, 5), (32,)))
    window = Window((5, 5), (1, 1), (0, 0), (1, 1))
    gy = rng.standard_normal((32, 32, 10, 10), dtype="f")
    monkeypatch.setattr(image_blocks, "_BLOCK_NBYTES", 1 << 18)
    results = []
    for n in (1, n_threads):
        monkeypatch.setattr(image_blocks, "get_num_threads", lambda n=n: n)
        with image_blocks.blas_alone():
            results.append(_results(x, w, b, gy, window))
    for a, e in zip(*results, strict=True):
        np.testing.assert_array_equal(a, e)


@pytest.mark.parametrize("layout", ["images", "output", "both"])
def test_channels_last(small, layout):
    rng = np.random.default_rng(0)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1))
    x, w, gy = (rng.standard_normal(s) for s in ((4, 9, 6, 5), (8, 9, 3, 3), (4, 8, 6, 5)))
    expected = _results(x, w, None, gy, window)

    def last(a):
        return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)

    x = last(x) if layout != "output" else x
    gy = last(gy) if layout != "images" else gy
    for a, e in zip(_results(x, w, None, gy, window), expected, strict=True):
        np.testing.assert_allclose(a, e, atol=1e-10)
