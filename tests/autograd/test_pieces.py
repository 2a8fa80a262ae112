"""Pointwise operators in pieces give what they give at once: layouts, broadcasting, errors."""

import numpy as np
import pytest

import disttorch as torch
from disttorch.backends.cpu import workers
from disttorch.backends.cpu.numpy_backend import NumpyBackend
from disttorch.nn import functional as F

FUNCTIONS = {
    "one function": torch.exp,
    "two operands": lambda x: x * x.detach().flip(0),
    "broadcast row": lambda x: x * x.detach()[0],
    "broadcast column": lambda x: x / (x.detach()[:, :1] + 3),
    "number": lambda x: 2.5 * x,
    "formula": F.gelu,
    "settings": lambda x: F.elu(x, 0.7),
    "output kept": torch.sigmoid,
    "three operands": lambda x: torch.addcmul(x, x.detach(), x, value=0.3),
    "bounds": lambda x: x.clamp(-0.5, 0.5),
    "choice": lambda x: torch.where(x.detach() > 0, x, 2 * x),
    "power": lambda x: (x * x + 1) ** 1.5,
    "straight pieces": F.hardswish,
    "threshold": lambda x: F.softplus(x, 2.0, 1.0),
}
LAYOUTS = {
    "contiguous": lambda a: a,
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
}


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of 16 elements in two threads, whatever the machine is set to; without kernels."""
    monkeypatch.setattr(NumpyBackend, "pieces_from", 8)
    monkeypatch.setattr(NumpyBackend, "light_pieces_from", 8)
    monkeypatch.setattr(NumpyBackend, "piece", 16)
    monkeypatch.setattr(NumpyBackend, "n_threads", staticmethod(lambda: 2))
    pieces = []

    def run(work, n):
        pieces.append(n)
        workers.run_pieces(work, n, 2)

    monkeypatch.setattr(NumpyBackend, "run_pieces", staticmethod(run))
    for name in ("forward_kernel", "backward_kernel"):
        monkeypatch.setattr(NumpyBackend, name, staticmethod(lambda *_: None))
    # The short way of the commonest operators is for small arrays.
    monkeypatch.setattr("disttorch.autograd.quick._LARGE", 8)
    return pieces


def _results(function, array):
    x = torch.from_numpy(array.copy(order="K")).requires_grad_()
    y = function(x)
    y.backward(torch.from_numpy(np.linspace(-1, 1, y.numel(), dtype=array.dtype).reshape(y.shape)))
    return y.detach().numpy(), x.grad.numpy()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_pieces_give_what_the_whole_gives(small_pieces, monkeypatch, name, layout):
    array = LAYOUTS[layout](np.random.default_rng(0).standard_normal((21, 7)))
    found = _results(FUNCTIONS[name], array)
    assert small_pieces, "nothing was cut into pieces"
    monkeypatch.undo()
    expected = _results(FUNCTIONS[name], array)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_gradient_in_pieces_becomes_a_leafs_without_a_copy(small_pieces):
    x = torch.ones(40, requires_grad=True)
    x.exp().backward(torch.ones(40))
    assert x.grad._array.base is None
    assert x.exp()._array.base is None


def test_errors_are_those_of_the_whole(small_pieces):
    x = torch.ones(8, 9)
    with pytest.raises(RuntimeError, match="must match the size of tensor b"):
        x * torch.ones(8, 8)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y = x.requires_grad_() * 1
        z = y.sigmoid()
        z += 1
        z.sum().backward()


def test_second_derivatives_are_recorded(small_pieces):
    x = torch.linspace(-1, 1, 40, dtype=torch.float64).requires_grad_()
    (first,) = torch.autograd.grad(x.tanh().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    t = np.tanh(x.detach().numpy())
    np.testing.assert_allclose(second.numpy(), -2 * t * (1 - t * t), rtol=1e-12)


def test_a_function_that_is_no_ufunc(small_pieces):
    x = torch.linspace(-3, 3, 100)
    assert torch.equal(torch.i0(x), torch.stack([torch.i0(v) for v in x]))
    assert small_pieces


def test_operands_as_large_as_each_other_with_other_numbers_of_dimensions(small_pieces):
    x = torch.linspace(1, 2, 100)
    y = torch.addcdiv(x, x.view(1, 100), x, value=2)
    assert y.shape == (1, 100)
    assert torch.allclose(y, x + 2)


@pytest.mark.parametrize(
    ("function", "shared"),
    [(F.relu, False), (torch.neg, False), (torch.sqrt, False), (torch.tanh, True), (F.gelu, True)],
)
def test_what_memory_sets_the_pace_of_is_not_shared(small_pieces, monkeypatch, function, shared):
    monkeypatch.setattr(NumpyBackend, "light_pieces_from", 1000)
    x = torch.linspace(0.5, 1, 100).requires_grad_()
    function(x).backward(torch.ones(100))
    assert bool(small_pieces) is shared
