"""Variable, the old name of tensors with gradients."""

import pytest

import disttorch as torch
from disttorch.autograd import Variable


def test_a_variable_is_a_leaf_on_the_same_memory():
    data = torch.ones(2)
    x = Variable(data, requires_grad=True)
    assert isinstance(x, Variable) and isinstance(x, torch.Tensor) and isinstance(data, Variable)
    assert x.is_leaf and x.requires_grad and not data.requires_grad
    assert not Variable(data).requires_grad
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]
    data.fill_(5)
    assert x.tolist() == [5, 5]


def test_only_tensors_become_variables():
    with pytest.raises(TypeError, match="Variable data has to be a tensor, but got list"):
        Variable([1.0])


def test_volatile_of_a_tensor_is_false_and_says_so():
    x = torch.ones(2)
    with pytest.warns(UserWarning, match="volatile was removed and now has no effect"):
        x.volatile = True
    with pytest.warns(UserWarning, match="Variable.volatile is always False"):
        assert not x.volatile


def test_volatile_is_gone():
    with pytest.warns(UserWarning, match="volatile was removed and now has no effect"):
        assert not Variable(torch.ones(2), volatile=True).requires_grad
    with (
        pytest.warns(UserWarning, match="volatile was removed"),
        pytest.raises(ValueError, match="can't be volatile and require_grad at the same time"),
    ):
        Variable(torch.ones(2), requires_grad=True, volatile=True)


def test_retain_variables_is_refused_with_a_hint():
    with pytest.raises(TypeError, match="retain_variables was renamed; pass retain_graph instead"):
        torch.ones(1, requires_grad=True).sum().backward(retain_variables=True)
