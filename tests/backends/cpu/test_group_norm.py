"""Group norm: the formula, its gradients by differences, and the kernels beside NumPy."""

import numpy as np
import pytest

from disttorch.backends.cpu import group_norm
from disttorch.backends.cpu.jit import rows, switch

EPS = 1e-3


def operands(dtype="float64", affine=True, scale=1):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((3, 4 * scale, 5, 2 * scale)) * 2 + 1).astype(dtype)
    gy = rng.standard_normal(x.shape).astype(dtype)
    w, b = rng.standard_normal((2, 4 * scale)).astype(dtype) if affine else (None, None)
    return x, gy, w, b


def formula(x, w, b, groups):
    grouped = x.reshape(len(x), groups, -1)
    deviation = np.sqrt(grouped.var(2, keepdims=True) + EPS)
    y = ((grouped - grouped.mean(2, keepdims=True)) / deviation).reshape(x.shape)
    return y if w is None else y * w[:, None, None] + b[:, None, None]


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_formula_and_gradients(groups, affine):
    x, gy, w, b = operands(affine=affine)
    y, mean, scale = group_norm.group_norm_forward(x, w, b, groups, EPS)
    np.testing.assert_allclose(y, formula(x, w, b, groups), rtol=1e-9, atol=1e-12)
    gx, gw, gb = group_norm.group_norm_backward(gy, x, w, mean, scale, groups)
    step = 1e-6 * np.random.default_rng(1).standard_normal(x.shape)
    change = formula(x + step, w, b, groups) - formula(x - step, w, b, groups)
    np.testing.assert_allclose((gx * step).sum(), (gy * change).sum() / 2, rtol=1e-6)
    np.testing.assert_allclose(gb, gy.sum((0, 2, 3)), rtol=1e-9)
    plain = formula(x, None, None, groups)
    np.testing.assert_allclose(gw, (gy * plain).sum((0, 2, 3)), rtol=1e-9)


@pytest.mark.parametrize("affine", [False, True])
def test_kernels(monkeypatch, affine):
    pytest.importorskip("numba")
    x, gy, w, b = operands("float32", affine, 4)
    results = []
    for setting in ("off", "at once"):
        monkeypatch.setattr(switch, "setting", lambda s=setting: s)
        monkeypatch.setattr(switch, "has_numba", lambda s=setting: s != "off")
        monkeypatch.setattr(rows, "_SMALL", 0)
        y, mean, scale = group_norm.group_norm_forward(x, w, b, 2, EPS)
        results.append((y, mean, scale, *group_norm.group_norm_backward(gy, x, w, mean, scale, 2)))
    for plain, fast in zip(*results, strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-4, atol=1e-5)


def test_half_precision_is_computed_in_float32():
    x, _, w, b = operands("float16")
    y, mean, _ = group_norm.group_norm_forward(x, w, b, 2, EPS)
    assert mean.dtype == np.float32
    wide = formula(*(a.astype("float64") for a in (x, w, b)), 2)
    np.testing.assert_allclose(y, wide, rtol=1e-4, atol=1e-4)
