from __future__ import annotations

import numpy as np
import pytest

import disttorch as torch
from disttorch.autograd.broadcasting import mismatch


@pytest.mark.parametrize(
    ("shapes", "sizes"),
    [
        ([(2,), (3,)], (2, 3, 0)),
        ([(2, 3), (4, 5)], (3, 5, 1)),
        ([(4, 1, 3), (2, 1)], None),
        ([(2, 3), (4, 3)], (2, 4, 0)),
        ([(1,), (3,), (4,)], (3, 4, 0)),
        ([(0,), (2,)], (0, 2, 0)),
        ([(0,), (1,)], None),
    ],
)
def test_mismatch_names_the_last_dimension_that_differs(shapes, sizes):
    found = mismatch([np.empty(s) for s in shapes] + [2.0, None])
    if sizes is None:
        assert found is None
    else:
        a, b, d = sizes
        assert found == (
            f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton "
            f"dimension {d}"
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda a, b: a + b,
        lambda a, b: a > b,
        lambda a, b: torch.where(a > 0, a, b),
        torch.maximum,
        lambda a, b: torch.lerp(a, b, 0.5),
        lambda a, b: a.mul_(b),
    ],
)
def test_operators_raise_it(call):
    with pytest.raises(RuntimeError, match=r"The size of tensor a \(2\) must match"):
        call(torch.ones(2), torch.ones(3))
