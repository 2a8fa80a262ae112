from __future__ import annotations

import pytest

import disttorch as torch


@pytest.mark.parametrize(
    "name", ["numel", "is_signed", "is_nonzero", "is_inference", "is_floating_point"]
)
def test_questions_are_about_tensors(name):
    with pytest.raises(TypeError, match=rf"{name}\(\): argument 'input' \(position 1\) must be"):
        getattr(torch, name)(3)


def test_answers():
    x = torch.ones(2, 3)
    assert [torch.numel(x), torch.is_signed(x), x.get_device(), x.is_cpu] == [6, True, -1, True]
    assert not any((x.is_meta, x.is_mps, x.is_nested, x.is_quantized, x.is_neg()))
    assert torch.is_same_size(x, x[:1].expand(2, 3))
    assert x.name is None
    assert x.grad_dtype is torch.float32


def test_nonzero_needs_one_element():
    assert torch.is_nonzero(torch.tensor([2.0]))
    assert not torch.tensor(0).is_nonzero()
    with pytest.raises(RuntimeError, match="more than one value is ambiguous"):
        torch.ones(2).is_nonzero()


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (torch.ones(2), 1, torch.float32),
        (torch.ones(2, dtype=torch.int32), 1.0, torch.float32),
        (1, 2, torch.int64),
        (torch.tensor(1), torch.ones(2, dtype=torch.int8), torch.int8),
    ],
)
def test_result_type(a, b, wanted):
    assert torch.result_type(a, b) is torch.result_type(b, a) is wanted


def test_typename():
    assert torch.typename(torch.ones(2)) == "torch.FloatTensor"
    assert torch.typename(3) == "int"
    assert torch.typename(torch.Tensor).endswith(".Tensor")
