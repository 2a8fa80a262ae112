from __future__ import annotations

import pytest

import disttorch as torch


@pytest.mark.parametrize(
    ("shape", "wrap", "places"),
    [
        ((3, 3), False, [0, 4, 8]),
        ((5, 2), False, [0, 3]),
        ((5, 2), True, [0, 3, 6, 9]),
        ((2, 2, 2), False, [0, 7]),
    ],
)
def test_fill_diagonal(shape, wrap, places):
    filled = torch.zeros(shape).fill_diagonal_(5, wrap=wrap).reshape(-1)
    assert filled.nonzero().reshape(-1).tolist() == places


def test_fill_diagonal_needs_a_square():
    with pytest.raises(RuntimeError, match="dimensions must larger than 1"):
        torch.ones(5).fill_diagonal_(1)
    with pytest.raises(RuntimeError, match="must be of equal length"):
        torch.ones(2, 3, 4).fill_diagonal_(1)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.select_scatter(torch.ones(2), 0, 1),
        lambda x: x.slice_scatter(torch.ones(2, 2), 0, 1),
        lambda x: x.diagonal_scatter(torch.ones(2)),
        lambda x: x.as_strided_scatter(torch.ones(2), (1,), (1,)),
    ],
)
def test_the_source_must_fit(call):
    with pytest.raises(RuntimeError, match="expected src to have a size equal to the slice"):
        call(torch.zeros(3, 3))
