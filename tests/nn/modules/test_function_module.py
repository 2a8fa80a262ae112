"""Modules declared as rows: the constructor, its errors, and what reaches the function."""

from __future__ import annotations

import inspect
import pickle

import pytest

import disttorch
from disttorch import nn
from disttorch.nn import functional
from disttorch.nn.modules.function_module import FunctionModule


def rows(kind=FunctionModule):
    for row in kind.__subclasses__():
        yield row
        yield from rows(row)


def test_every_function_exists():
    named = [row for row in rows() if "function" in vars(row)]
    assert len(named) > 50
    assert [row.__name__ for row in named if not hasattr(functional, row.function)] == []


def test_every_setting_is_an_argument_of_the_function():
    for row in rows():
        if "function" not in vars(row):
            continue
        taken = set(inspect.signature(getattr(functional, row.function)).parameters)
        handed = set(row.settings) - set(row.not_passed)
        assert handed <= taken, row.__name__


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nn.ReLU(slope=1), "ReLU.__init__() got an unexpected keyword argument 'slope'"),
        (nn.MaxPool2d, "MaxPool2d.__init__() missing a required argument: 'kernel_size'"),
    ],
)
def test_wrong_arguments(call, text):
    with pytest.raises(TypeError) as raised:
        call()
    assert str(raised.value) == text


def test_settings_are_attributes_that_may_change():
    drop = nn.Dropout(1.0)
    assert drop(disttorch.ones(2)).tolist() == [0.0, 0.0]
    drop.p = 0.0
    assert drop(disttorch.ones(2)).tolist() == [1.0, 1.0]


class Steep(nn.LeakyReLU):
    """A user's own subclass."""

    def __init__(self, name):
        super().__init__(negative_slope=2.0)
        self.name = name


def test_subclasses_of_users():
    steep = Steep("x")
    assert steep(disttorch.tensor([-1.0])).tolist() == [-2.0]
    assert list(inspect.signature(Steep).parameters) == ["name"]
    assert pickle.loads(pickle.dumps(steep)).name == "x"


def test_dropout_probability():
    with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1, but got"):
        nn.Dropout(1.5)


def test_old_reduction_arguments():
    with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
        assert nn.MSELoss(size_average=False).reduction == "sum"
    with pytest.warns(UserWarning, match="please use reduction='none' instead"):
        assert nn.MSELoss(reduce=False).reduction == "none"
