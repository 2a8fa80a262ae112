from __future__ import annotations

import pytest

import disttorch as torch


@pytest.mark.parametrize(
    ("indices", "shape", "error", "text"),
    [
        (torch.tensor([1.0]), (2, 3), TypeError, "integer dtype, but got torch.float32"),
        (torch.tensor([1]), (2, -3), ValueError, "cannot have negative values"),
        (torch.tensor([1]), "a", TypeError, "sequence to only contain ints"),
    ],
)
def test_unravel_index_refuses(indices, shape, error, text):
    with pytest.raises(error, match=text):
        torch.unravel_index(indices, shape)


def test_nonzero_static():
    x = torch.tensor([1, 0, 1])
    assert x.nonzero_static(size=4, fill_value=7).tolist() == [[0], [2], [7], [7]]
    with pytest.raises(RuntimeError, match="'size' must be an non-negative integer"):
        x.nonzero_static(size=-1)
