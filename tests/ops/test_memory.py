from __future__ import annotations

import copy
import os

import pytest

import disttorch as torch


def test_set_looks_at_other_memory():
    x = torch.arange(6.0)
    y = torch.empty(0).set_(x.untyped_storage(), 1, (2, 2), (2, 1))
    assert y.tolist() == [[1, 2], [3, 4]]
    y[0, 0] = 9
    assert x[1] == 9
    assert torch.empty(0).set_(x).is_set_to(x)
    assert torch.ones(2).set_().shape == (0,)
    with pytest.raises(RuntimeError, match="Could not set tensor of type float to a tensor of"):
        torch.empty(0, dtype=torch.int64).set_(x)
    with pytest.raises(RuntimeError, match="out of bounds for storage of size 24"):
        torch.empty(0).set_(x.untyped_storage(), 4, (3,))


def test_shared_memory_is_seen_by_forked_processes():
    x = torch.zeros(2, 3).t().share_memory_()
    assert x.is_shared()
    assert not torch.ones(2).is_shared()
    assert x.stride() == (1, 3)
    if (child := os.fork()) == 0:
        x[2, 1] = 5
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert x[2, 1] == 5


@pytest.mark.parametrize(
    ("make", "order"),
    [
        (lambda: torch.ones(2, 3, 4), (0, 1, 2)),
        (lambda: torch.ones(2, 3, 4).transpose(0, 1), (1, 0, 2)),
        (lambda: torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last), (0, 2, 3, 1)),
    ],
)
def test_dim_order(make, order):
    assert make().dim_order() == make().dim_order(ambiguity_check=True) == order


def test_dim_order_may_be_ambiguous():
    with pytest.raises(RuntimeError, match="does not have unique dim order"):
        torch.ones(1, 3).dim_order(ambiguity_check=True)
    assert torch.ones(1, 3).dim_order(ambiguity_check=[torch.contiguous_format]) == (0, 1)


def test_deep_copies_share_memory_as_the_originals_do():
    x = torch.arange(6.0)
    a, b, part = copy.deepcopy([x, x.view(2, 3).t(), x[2:]])
    a[3] = 9
    assert [b[0, 1], part[1], x[3]] == [9, 9, 3]
    assert b.stride() == (1, 3)
