from __future__ import annotations

import pytest

import disttorch as torch


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [((), ()), (((2, 1), (3,)), (2, 3)), (((2, 1), 3), (2, 3)), (((0,), (1,)), (0,))],
)
def test_broadcast_shapes(shapes, wanted):
    assert torch.broadcast_shapes(*shapes) == wanted


def test_shapes_that_do_not_broadcast():
    with pytest.raises(RuntimeError, match="Attempting to broadcast a dimension of length 3 at -1"):
        torch.broadcast_shapes((2,), (3,))
    with pytest.raises(ValueError, match="negative length"):
        torch.broadcast_shapes((2, -1), (3,))
    with pytest.raises(RuntimeError, match=r"size \{\[4\]\} is not expandable to size \{\[2, 3\]"):
        torch.ones(2, 3).sum_to_size(4)
    with pytest.raises(RuntimeError, match=r"requested resize to 3 \(3 elements in total\)"):
        torch.ones(2).resize(3)
