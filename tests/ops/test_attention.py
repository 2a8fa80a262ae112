"""Scaled dot-product attention: what the table of operators does not show."""

import math

import pytest

import disttorch as torch
from disttorch.nn.functional import scaled_dot_product_attention as attend
from disttorch.ops import attention


def three(*shape, **kind):
    return [torch.randn(*shape, **kind).requires_grad_() for _ in range(3)]


def test_blocks_do_not_matter(monkeypatch):
    q, k, v = three(5, 2, 4, 3)
    mask = torch.randn(2, 4, 4)
    want = attend(q, k, v, mask)
    want.sum().backward()
    grads = [t.grad.clone() for t in (q, k, v)]
    monkeypatch.setattr(attention, "_BLOCK", 2 * 2 * 4 * 4)
    for t in (q, k, v):
        t.grad = None
    y = attend(q, k, v, mask)
    y.sum().backward()
    assert torch.allclose(y, want)
    for t, g in zip((q, k, v), grads, strict=True):
        assert torch.allclose(t.grad, g, atol=1e-6)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_query_that_sees_nothing_gets_zeros_and_no_gradient(create_graph):
    q, k, v = three(3, 2)
    seen = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
    y = attend(q, k, v, seen)
    assert y[1].tolist() == [0, 0]
    grads = torch.autograd.grad(y.sum(), (q, k, v), create_graph=create_graph)
    assert not any(g.isnan().any() for g in grads)
    assert grads[0][1].tolist() == [0, 0]


def test_bool_and_added_masks_agree():
    q, k, v = three(2, 4, 3)
    seen = torch.ones(4, 4).tril().bool()
    added = torch.zeros(4, 4).masked_fill(~seen, -math.inf)
    want = attend(q, k, v, is_causal=True)
    assert torch.allclose(attend(q, k, v, seen), want)
    assert torch.allclose(attend(q, k, v, added), want)


def test_a_seed_repeats_its_dropout():
    q, k, v = three(2, 8, 4)
    torch.manual_seed(1)
    first = attend(q, k, v, dropout_p=0.5)
    torch.manual_seed(1)
    assert torch.equal(attend(q, k, v, dropout_p=0.5), first)
    assert not torch.equal(attend(q, k, v, dropout_p=0.5), first)
    assert not attend(q, k, v, dropout_p=1.0).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    q, k, v = (t.detach().to(dtype).requires_grad_() for t in three(2, 4, 8))
    y = attend(q, k, v)
    y.sum().backward()
    assert y.dtype is q.grad.dtype is dtype
    want = attend(*(t.detach().float() for t in (q, k, v)))
    assert torch.allclose(y.float(), want, atol=1e-2)


def test_heads_share_keys():
    q, k, v = torch.randn(4, 3, 2), torch.randn(2, 5, 2), torch.randn(2, 5, 2)
    y = attend(q, k, v, enable_gqa=True)
    for head in range(4):
        assert torch.allclose(y[head], attend(q[head], k[head // 2], v[head // 2]), atol=1e-6)
    with pytest.raises(RuntimeError, match="must divide the number of heads in query"):
        attend(q[:3], k, v, enable_gqa=True)


@pytest.mark.parametrize(
    ("shapes", "kwargs", "text"),
    [
        (((3,), (2, 3), (2, 3)), {}, "at least 2 dimensional, but got query.dim: 1"),
        (
            ((2, 3), (2, 3), (2, 3)),
            {"attn_mask": torch.ones(2, 2).bool(), "is_causal": True},
            "Explicit attn_mask should not be set",
        ),
        (((2, 3), (2, 3), (2, 3)), {"attn_mask": torch.ones(2, 2).long()}, "long int"),
    ],
)
def test_refuses(shapes, kwargs, text):
    with pytest.raises(RuntimeError, match=text):
        attend(*(torch.ones(*s) for s in shapes), **kwargs)


SIZES = (
    *[((1, 2, 3, 4), (1, 2, 3, 5), (1, 2, 3, 4), "[2, 4] but got: [2, 5].")],
    *[((2, 3, 4), (2, 5, 4), (2, 3, 4), "[2, 5] but got: [2, 3].")],
    *[((3, 4), (5, 3), (5, 4), "mat1 and mat2 shapes cannot be multiplied (3x4 and 3x5)")],
)


@pytest.mark.parametrize(("query", "key", "value", "text"), SIZES)
def test_sizes_that_do_not_fit(query, key, value, text):
    operands = [torch.ones(*shape) for shape in (query, key, value)]
    with pytest.raises(RuntimeError) as error:
        torch.nn.functional.scaled_dot_product_attention(*operands)
    assert str(error.value).endswith(text)
