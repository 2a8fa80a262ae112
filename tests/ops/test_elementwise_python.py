from __future__ import annotations

import pytest

import disttorch as torch


def test_functions_of_elements():
    x = torch.ones(3)
    assert x.apply_(lambda v: v + 1) is x
    assert x.map_(torch.arange(3.0), lambda a, b: a + b).tolist() == [2, 3, 4]
    assert x.map2_(torch.ones(3), torch.ones(1), lambda a, b, c: a + b + c).tolist() == [4, 5, 6]
    with pytest.raises(RuntimeError, match=r"Can't call apply_\(\) on Variable that requires"):
        torch.ones(2, requires_grad=True).apply_(abs)
    with pytest.raises(TypeError, match="'int' object is not callable"):
        x.apply_(3)
