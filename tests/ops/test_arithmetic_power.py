"""In-place powers in double precision."""

import pytest

import disttorch as torch


def test_float_power_in_place():
    x = torch.tensor([2.0, 3.0], dtype=torch.float64)
    assert x.float_power_(2) is x
    assert x.tolist() == [4.0, 9.0]


def test_float_power_in_place_needs_double_precision():
    with pytest.raises(RuntimeError) as error:
        torch.ones(2).float_power_(2)
    assert str(error.value) == (
        "the base given to float_power_ has dtype Float but the operation's result requires dtype "
        "Double"
    )
