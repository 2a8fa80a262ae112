"""log(sum(exp)) over leading dimensions: blocks, kernels, extremes."""

import numpy as np
import pytest

from disttorch.backends.cpu import log_sum_exp
from disttorch.backends.cpu.jit import rows, switch


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("block", [1, 300, 1 << 15])
@pytest.mark.parametrize(
    ("shape", "axis"), [((40, 90), (0,)), ((3, 8, 70), (1,)), ((4, 5, 64), (0, -2))]
)
def test_is_the_formula(monkeypatch, shape, axis, block, fast):
    if fast:
        pytest.importorskip("numba")
    monkeypatch.setattr(switch, "has_numba", lambda: fast)
    monkeypatch.setattr(switch, "setting", lambda: "at once")
    monkeypatch.setattr(rows, "_SMALL", 0)
    monkeypatch.setattr(log_sum_exp, "_SMALL", 0)
    monkeypatch.setattr(log_sum_exp, "_BLOCK", block)
    x = (np.random.default_rng(0).standard_normal(shape) * 30).astype("float32")
    expected = np.log(np.exp(x.astype("float64")).sum(axis, keepdims=True))
    np.testing.assert_allclose(log_sum_exp.of_columns(x, axis), expected, rtol=1e-6, atol=1e-6)


def test_infinities_and_nan(monkeypatch):
    monkeypatch.setattr(log_sum_exp, "_SMALL", 0)
    x = np.zeros((4, 64))
    x[:, 0], x[1, 1], x[1, 2], x[2, 3] = -np.inf, np.inf, np.nan, -np.inf
    y = log_sum_exp.of_columns(x, (0,))
    np.testing.assert_allclose(y[0, :5], [-np.inf, np.inf, np.nan, np.log(3), np.log(4)])


def test_leaves_the_rest_to_others():
    x = np.zeros((300, 300), "float32")
    assert log_sum_exp.of_columns(x, (0,)) is not None
    for other, axis in ((x[:50, :50].copy(), (0,)), (x, (1,)), (x.T[:, ::2], (0,))):
        assert log_sum_exp.of_columns(other, axis) is None
    assert log_sum_exp.of_columns(x.astype("float16"), (0,)) is None
    assert log_sum_exp.of_columns(np.zeros((30, 30, 90), "float32"), (0, 2)) is None
