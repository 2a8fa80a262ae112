from __future__ import annotations

import numpy as np
import pytest

import disttorch as torch

WRITES = {
    "itself": lambda y: y.add_(1),
    "through a view": lambda y: y[0].mul_(2),
    "through detach": lambda y: y.detach().zero_(),
    "under no_grad": lambda y: torch.no_grad()(y.zero_)(),
}
USES = {
    "input": lambda y: y * y,
    "second input": lambda y: torch.ones(2, dtype=torch.float64, requires_grad=True) * y,
    "function": lambda y: y.sin(),
    "power": lambda y: y**3,
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("use", USES)
def test_a_write_to_what_was_saved_is_an_error(use, write):
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = x * 2
    z = USES[use](y)
    WRITES[write](y)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        z.sum().backward()


@pytest.mark.parametrize("function", ["exp", "tanh", "sigmoid", "sqrt", "relu"])
def test_a_write_to_a_saved_output_is_an_error(function):
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = getattr(x, function)()
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="is at version 1; expected version 0 instead"):
        y.sum().backward()


def test_what_is_not_saved_may_be_written():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = x * 2
    z = y + 1
    w = y.sum()
    y.mul_(5)
    (z.sum() + w + y.sum()).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2 + 2 + 10] * 2)


def test_the_same_array_twice_is_saved_by_position():
    """With identity instead, the second derivative would be that of the wrong operand."""
    x = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    y = x * x.detach()
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert not g.requires_grad
    z = x * x
    (g,) = torch.autograd.grad(z.sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    assert h.item() == 2


def test_hooks_pack_and_unpack():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    packed = []

    def pack(t):
        packed.append(t.tolist())
        return t.numpy().tobytes()

    def unpack(data):
        return torch.tensor(np.frombuffer(data).copy())

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = x.sin() * x.exp()
    y.sum().backward()
    assert [1.0, 2.0] in packed
    a = x.detach().numpy()
    np.testing.assert_allclose(x.grad.numpy(), np.cos(a) * np.exp(a) + np.sin(a) * np.exp(a))


def test_nodes_show_what_they_saved():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    product, power = x * x, x.exp()
    assert product.grad_fn._saved_self.tolist() == product.grad_fn._saved_other.tolist() == [1, 2]
    assert power.grad_fn._saved_result.grad_fn is power.grad_fn
    assert (x * 2).grad_fn._saved_self is None
    with pytest.raises(AttributeError, match="object has no attribute '_saved_foo'"):
        _ = power.grad_fn._saved_foo
    power.sum().backward()
    with pytest.raises(RuntimeError, match="directly access saved tensors"):
        _ = power.grad_fn._saved_result


def test_saved_indices_have_no_history():
    x = torch.tensor([[1.0, 3.0], [2.0, 0.0]], requires_grad=True)
    values = x.max(1, keepdim=True).values
    (g,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    assert not g.requires_grad
