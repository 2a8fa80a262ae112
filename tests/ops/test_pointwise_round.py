"""In-place absolute values."""

import pytest

import disttorch as torch


@pytest.mark.parametrize("name", ["abs_", "absolute_"])
def test_abs_in_place(name):
    for dtype in (torch.float32, torch.int64):
        x = torch.tensor([-2, 3], dtype=dtype)
        assert getattr(x, name)() is x
        assert x.tolist() == [2, 3]


def test_lengths_of_complex_numbers_are_not_complex():
    with pytest.raises(RuntimeError, match="In-place abs is not supported for complex tensors"):
        torch.ones(2, dtype=torch.complex64).abs_()


def test_the_sign_of_nan_is_zero():
    assert torch.tensor([float("nan"), -2.0, 0.0, 3.0]).sign().tolist() == [0, -1, 0, 1]
