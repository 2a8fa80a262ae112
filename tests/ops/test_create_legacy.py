from __future__ import annotations

import numpy as np
import pytest

import disttorch as torch


@pytest.mark.parametrize(
    ("made", "dtype", "values"),
    [
        (lambda: torch.Tensor([1, 2]), torch.float32, [1, 2]),
        (lambda: torch.Tensor((2, 3)), torch.float32, [2, 3]),
        (lambda: torch.Tensor(np.arange(2)), torch.float32, [0, 1]),
        (lambda: torch.Tensor(torch.tensor([1, 2])), torch.int64, [1, 2]),
        (lambda: torch.Tensor([torch.tensor(1.0), 2]), torch.float32, [1, 2]),
        (lambda: torch.LongTensor([1.5, 2]), torch.int64, [1, 2]),
        (lambda: torch.BoolTensor([1, 0]), torch.bool, [True, False]),
        (lambda: torch.ones(2, dtype=torch.int32).new([3, 4]), torch.int32, [3, 4]),
        (lambda: torch.ones(2).new(), torch.float32, []),
    ],
)
def test_values(made, dtype, values):
    x = made()
    assert x.dtype is dtype
    assert x.tolist() == values


def test_sizes():
    assert torch.Tensor(2, 3).shape == torch.Tensor(torch.Size([2, 3])).shape == (2, 3)
    assert torch.ByteTensor(4).dtype is torch.uint8
    assert torch.ones(1).new(2, 3).shape == (2, 3)
    assert torch.Tensor().shape == (0,)


def test_types_recognise_their_tensors():
    assert isinstance(torch.ones(2), torch.FloatTensor)
    assert not isinstance(torch.ones(2), torch.DoubleTensor)
    assert not isinstance(1, torch.FloatTensor)
    assert type(torch.FloatTensor(2)) is torch.Tensor
    assert repr(torch.IntTensor) == "<class 'torch.IntTensor'>"
    assert torch.ones(2).type(torch.LongTensor).type() == "torch.LongTensor"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: torch.Tensor(2.5), TypeError, r"new\(\): data must be a sequence \(got float\)"),
        (lambda: torch.Tensor("a"), TypeError, r"new\(\): invalid data type 'str'"),
        (lambda: torch.DoubleTensor(torch.ones(2)), TypeError, r"expected TensorOptions\(dtype=do"),
        (lambda: torch.Tensor([1], device="cuda"), RuntimeError, "expects device type: cpu but"),
        (lambda: torch.ones(2).type("FloatTensor"), ValueError, "invalid type: 'FloatTensor'"),
        (lambda: torch.set_default_tensor_type("torch.LongTensor"), TypeError, "only floating"),
        (lambda: torch.set_default_tensor_type(torch.float64), TypeError, "invalid type object"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_default_tensor_type():
    try:
        torch.set_default_tensor_type("torch.DoubleTensor")
        assert torch.Tensor([1]).dtype is torch.ones(1).dtype is torch.float64
    finally:
        torch.set_default_tensor_type(torch.FloatTensor)
    assert torch.ones(1).dtype is torch.float32
