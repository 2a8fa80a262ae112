"""Parameter and Buffer."""

from __future__ import annotations

import copy
import pickle

import pytest

import disttorch
from disttorch.nn.parameter import Buffer, Parameter, factory_kwargs


def test_shares_memory_and_is_a_leaf():
    x = disttorch.ones(2).requires_grad_()
    p = Parameter(x * 2)
    assert p.is_leaf
    assert p.requires_grad
    x = disttorch.ones(2)
    p = Parameter(x, requires_grad=False)
    p.fill_(3)
    assert x.tolist() == [3.0, 3.0]


def test_repr():
    assert repr(Parameter(disttorch.ones(2))) == (
        "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    )


def test_results_are_plain_tensors():
    p = Parameter(disttorch.ones(2))
    assert type(p * 2) is type(p.detach()) is type(p.data) is disttorch.Tensor
    assert not isinstance(p.data, Parameter)


def test_integers_need_requires_grad_false():
    with pytest.raises(RuntimeError, match=r"^Only Tensors of floating point and complex dtype"):
        Parameter(disttorch.arange(3))
    assert not Parameter(disttorch.arange(3), requires_grad=False).requires_grad


def test_empty():
    assert Parameter().shape == (0,)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("requires_grad", [True, False])
def test_copies(clone, requires_grad):
    p = Parameter(disttorch.ones(2), requires_grad)
    twin = clone(p)
    assert type(twin) is Parameter
    assert twin.requires_grad is requires_grad
    twin.data.fill_(2)
    assert p.tolist() == [1.0, 1.0]


def test_deepcopy_leaves_the_gradient_and_keeps_sharing():
    p = Parameter(disttorch.ones(2))
    p.grad = disttorch.ones(2)
    first, second = copy.deepcopy([p, p])
    assert first is second
    assert first.grad is None


def test_tensors_may_be_marked_as_parameters():
    x = disttorch.ones(2)
    assert not isinstance(x, Parameter)
    x._is_param = True
    assert isinstance(x, Parameter)


def test_buffer():
    x = disttorch.ones(2)
    b = Buffer(x, persistent=False)
    assert isinstance(b, Buffer)
    assert not isinstance(x, Buffer)
    assert type(b) is disttorch.Tensor
    assert not b.persistent
    assert repr(b) == "tensor([1., 1.])"


def test_factory_arguments_are_sorted_out():
    assert factory_kwargs(None) == {}
    both = {"device": "cpu", "factory_kwargs": {"dtype": disttorch.float64}}
    assert factory_kwargs(both) == {"device": "cpu", "dtype": disttorch.float64}
    with pytest.raises(TypeError, match="unexpected kwargs"):
        factory_kwargs({"size": 3})
    with pytest.raises(TypeError, match="device specified twice"):
        factory_kwargs({"device": "cpu", "factory_kwargs": {"device": "cpu"}})


@pytest.mark.parametrize(
    ("call", "method"),
    (
        (lambda p: p + 1, "add"),
        (lambda p: 2 * p, "mul"),
        (lambda p: disttorch.ones(2) + p, "add"),
        (lambda p: p / 2, "div"),
        (lambda p: -p, "neg"),
        (lambda p: p @ disttorch.ones(2), "matmul"),
        (lambda p: p.sum(), "sum"),
        (lambda p: p.exp(), "exp"),
    ),
)
@pytest.mark.parametrize("kind", ["UninitializedParameter", "UninitializedBuffer"])
def test_what_has_no_values_cannot_be_computed_with(call, method, kind):
    lazy = getattr(disttorch.nn.parameter, kind)()
    with pytest.raises(ValueError) as error:
        call(lazy)
    assert str(error.value) == (
        f"Attempted to use an uninitialized parameter in <method '{method}' of "
        "'torch._C.TensorBase' objects>. This error happens when you are using a `LazyModule` or "
        f"explicitly manipulating `torch.nn.parameter.{kind}` objects. When using LazyModules Call "
        "`forward` with a dummy batch to initialize the parameters before calling torch functions"
    )
    lazy.materialize((2,))
    assert (lazy + 1).shape == (2,)
