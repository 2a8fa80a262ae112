"""Type names in error texts."""

from __future__ import annotations

import pytest

import disttorch
from disttorch.nn.parameter import Parameter
from disttorch.nn.typename import typename

ROWS = [
    (disttorch.ones(1), "torch.FloatTensor"),
    (disttorch.arange(2), "torch.LongTensor"),
    (Parameter(disttorch.ones(1)), "torch.FloatTensor"),
    (3, "int"),
    (int, "int"),
    (pytest.Item, f"{pytest.Item.__module__}.Item"),
]


@pytest.mark.parametrize(("value", "want"), ROWS)
def test_typename(value, want):
    assert typename(value) == want
