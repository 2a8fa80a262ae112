"""Kernels of pointwise operators against the same operators on NumPy, edges included."""

import numpy as np
import pytest

import disttorch as torch
from disttorch.backends.cpu.jit import switch
from disttorch.backends.cpu.jit.formulas import FORMULAS
from disttorch.nn import functional as F

pytest.importorskip("numba", reason="the `fast` extra is not installed")

# Each operator with a kernel, as a function of one tensor.
OPERATORS = {
    "Exp": torch.exp,
    "Expm1": torch.expm1,
    "Log": torch.log,
    "Log1p": torch.log1p,
    "Sqrt": torch.sqrt,
    "Rsqrt": torch.rsqrt,
    "Reciprocal": torch.reciprocal,
    "Square": torch.square,
    "Abs": torch.abs,
    "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid,
    "Erf": torch.erf,
    "Relu": torch.relu,
    "Hardtanh": lambda x: F.hardtanh(x, -0.7, 0.6),
    "LeakyRelu": lambda x: F.leaky_relu(x, 0.2),
    "Hardsigmoid": F.hardsigmoid,
    "Hardswish": F.hardswish,
    "Gelu": F.gelu,
    "GeluTanh": lambda x: F.gelu(x, approximate="tanh"),
    "Silu": F.silu,
    "Elu": lambda x: F.elu(x, 0.8),
    "Softplus": lambda x: F.softplus(x, 1.5, 10.0),
    "LogSigmoid": F.logsigmoid,
    "Mish": F.mish,
    "Softsign": F.softsign,
    "Tanhshrink": F.tanhshrink,
    "Threshold": lambda x: F.threshold(x, 0.1, 0.4),
    "Clamp": lambda x: x.clamp(-0.5, 0.5),
    "Lerp": lambda x: torch.lerp(x, torch.flip(x.detach(), (0,)), 0.3),
    "Addcmul": lambda x: torch.addcmul(x, x.detach(), x.detach(), value=0.5),
    "Addcdiv": lambda x: torch.addcdiv(x, x.detach(), x.detach() * 2, value=0.5),
    "MseLoss": lambda x: F.mse_loss(x, torch.flip(x.detach(), (0,))),
    "BinaryCrossEntropy": lambda x: F.binary_cross_entropy(x, torch.flip(x.detach(), (0,))),
    "BinaryCrossEntropyWithLogits": lambda x: F.binary_cross_entropy_with_logits(
        x, torch.flip(x.detach(), (0,)).sigmoid()
    ),
}
# Where only part of the line is in an operator's domain.
DOMAINS = {"Log": (1e-3, 50), "Rsqrt": (1e-3, 50), "Sqrt": (1e-3, 50), "Log1p": (-0.9, 50),
           "BinaryCrossEntropy": (0.01, 0.99)}  # fmt: skip
EDGES = (0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 88.8, -88.8, 104.0, -104.0, 1e37)
# Their gradients at NaN or infinity are PyTorch's here, NaN on NumPy.
BETTER_THAN_NUMPY = {"Abs", "Hardswish"}
LARGE = 1 << 18


@pytest.fixture
def kernels(monkeypatch):
    """Switch kernels on or off; says which were asked for."""
    asked = []

    def pays(kernel, n):
        asked.append(kernel)
        return True

    def choose(on):
        target = "disttorch.backends.cpu.jit.pointwise.pays"
        monkeypatch.setattr(target, pays if on else lambda *_: False)
        return asked

    return choose


def _sample(name):
    low, high = DOMAINS.get(name, (-6, 6))
    return np.random.default_rng(0).uniform(low, high, LARGE).astype("float32")


def _run(function, array):
    x = torch.from_numpy(array.copy()).requires_grad_()
    y = function(x)
    y.backward(torch.full_like(y.detach(), 0.5))
    return y.detach().numpy(), x.grad.numpy()


def test_every_formula_is_tried():
    assert OPERATORS.keys() == FORMULAS.keys()


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", OPERATORS)
def test_kernels_agree_with_numpy(kernels, monkeypatch, name, n_threads):
    monkeypatch.setattr("disttorch.backends.cpu.threads._Setting.n", n_threads)
    array = _sample(name)
    kernels(False)
    expected = _run(OPERATORS[name], array)
    asked = kernels(True)
    found = _run(OPERATORS[name], array)
    formula = FORMULAS[name]
    ways = [way for way in ("forward", "backward") if getattr(formula, way)]
    assert {f"{name} {way}" for way in ways} <= set(asked)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", [n for n in OPERATORS if "Loss" not in n and "Cross" not in n])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_edges(kernels, name):
    edges = [x for x in EDGES if np.isfinite(x) or name not in BETTER_THAN_NUMPY]
    array = np.resize(np.array(edges, "float32"), LARGE)
    kernels(False)
    expected = _run(OPERATORS[name], array)
    kernels(True)
    found = _run(OPERATORS[name], array)
    for a, b in zip(found, expected, strict=True):
        a, b = a[: len(edges)], b[: len(edges)]  # noqa: PLW2901 - the rest is repetition
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6)


def test_layouts_and_dtypes(kernels):
    asked = kernels(True)
    array = _sample("Exp").reshape(512, 512)
    for source in (array.T, array[:, ::2], array.astype("float64"), array.astype("float16")):
        y = torch.from_numpy(source).exp().numpy()
        np.testing.assert_allclose(y, np.exp(source), rtol=2e-3 if y.itemsize == 2 else 1e-6)
    assert asked == ["Exp forward"] * 2  # for the transposed one, which is dense, too


def test_kernels_wait_until_they_pay(monkeypatch):
    monkeypatch.setattr(switch, "setting", lambda: "when worthwhile")
    monkeypatch.setattr(switch, "_done", {})
    shares = [switch.pays("some kernel", switch._WORTHWHILE // 4) for _ in range(6)]
    assert shares == [False] * 4 + [True] * 2
    assert not switch.pays("another kernel", 10)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", "off"), ("1", "at once"), ("", "when worthwhile"), (None, "when worthwhile")],
)
def test_switch(monkeypatch, value, expected):
    if value is None:
        monkeypatch.delenv("DISTTORCH_FAST", raising=False)
    else:
        monkeypatch.setenv("DISTTORCH_FAST", value)
    assert switch.setting.__wrapped__() == expected
