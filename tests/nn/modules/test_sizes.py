"""Sizes given once or for each dimension."""

from __future__ import annotations

import pytest

from disttorch.nn.modules import sizes


@pytest.mark.parametrize(
    ("value", "n", "want"),
    [(3, 2, (3, 3)), ((1, 2), 2, (1, 2)), ([4], 1, (4,)), (None, 1, (None,))],
)
def test_per_dimension(value, n, want):
    assert sizes.per_dimension(value, n) == want


def test_reversed_twice():
    assert sizes.reversed_twice((1, 2)) == [2, 2, 1, 1]
