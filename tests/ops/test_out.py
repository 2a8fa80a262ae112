"""The keyword `out`."""

import pytest

import disttorch as torch


def test_writes_into_the_tensor_and_returns_it():
    out = torch.zeros(2, 4)
    memory = out._array
    assert torch.cat([torch.ones(2, 2), torch.ones(2, 2)], 1, out=out) is out
    assert out._array is memory and out.sum().item() == 8 and out._version == 1


def test_casts_but_not_to_a_lower_category():
    out = torch.zeros(2, 2, dtype=torch.float64)
    assert torch.stack([torch.ones(2)] * 2, out=out).dtype is torch.float64
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output"):
        torch.stack([torch.ones(2)] * 2, out=torch.zeros(2, 2, dtype=torch.int64))


def test_resizing_warns_unless_there_was_nothing():
    assert torch.cat([torch.ones(2)], out=torch.empty(0)).shape == (2,)
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        torch.cat([torch.ones(2)], out=torch.empty(3))


def test_refuses_to_be_differentiated():
    with pytest.raises(RuntimeError, match=r"mm\(\): functions with out=\.\.\. arguments"):
        torch.mm(torch.ones(2, 2, requires_grad=True), torch.ones(2, 2), out=torch.empty(2, 2))
