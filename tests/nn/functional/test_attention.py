"""Multi-head attention against attention head by head."""

import math

import pytest

import disttorch as torch
from disttorch import nn

L, S, N, E, H = 3, 5, 2, 4, 2


def reference(module, q, k, v, hidden):
    """Output (L, N, E) and weights (N, H, L, S); `hidden` (N, L, S) says what is not seen."""
    w_q, w_k, w_v = module.in_proj_weight.chunk(3)
    b_q, b_k, b_v = module.in_proj_bias.chunk(3)
    q, k, v = q @ w_q.T + b_q, k @ w_k.T + b_k, v @ w_v.T + b_v
    weights = torch.zeros(N, H, L, S)
    heads = torch.zeros(L, N, E)
    for i in range(N):
        for h in range(H):
            part = slice(h * E // H, (h + 1) * E // H)
            scores = q[:, i, part] @ k[:, i, part].T / math.sqrt(E // H)
            weights[i, h] = scores.masked_fill(hidden[i], -math.inf).softmax(-1)
            heads[:, i, part] = weights[i, h] @ v[:, i, part]
    return module.out_proj(heads), weights


MASK = torch.zeros(L, S).bool()
MASK[0, 1] = MASK[2, 0] = True
PADDING = torch.zeros(N, S).bool()
PADDING[1, 3:] = True


@pytest.mark.parametrize("mask", [None, MASK], ids=["", "mask"])
@pytest.mark.parametrize("padding", [None, PADDING], ids=["", "padding"])
@pytest.mark.parametrize("need_weights", [True, False])
def test_each_head_attends_by_itself(mask, padding, need_weights):
    module = nn.MultiheadAttention(E, H)
    nn.init.normal_(module.in_proj_bias)
    q, k, v = torch.randn(L, N, E), torch.randn(S, N, E), torch.randn(S, N, E)
    hidden = torch.zeros(N, L, S).bool()
    hidden = hidden if mask is None else hidden | mask
    hidden = hidden if padding is None else hidden | padding.unsqueeze(1)
    with torch.no_grad():
        want, weights = reference(module, q, k, v, hidden)
        y, seen = module(q, k, v, padding, need_weights, mask, average_attn_weights=False)
    assert torch.allclose(y, want, atol=1e-5)
    assert (seen is None) is (not need_weights)
    if need_weights:
        assert torch.allclose(seen, weights, atol=1e-5)


def test_forms_of_the_input_agree():
    module = nn.MultiheadAttention(E, H, batch_first=True)
    x = torch.randn(N, L, E)
    y, weights = module(x, x, x)
    assert weights.shape == (N, L, L)
    alone, own = module(x[1], x[1], x[1])
    assert torch.allclose(alone, y[1], atol=1e-6)
    assert torch.allclose(own, weights[1], atol=1e-6)
    other = nn.MultiheadAttention(E, H)
    other.load_state_dict(module.state_dict())
    swapped, _ = other(*(x.transpose(0, 1),) * 3)
    assert torch.allclose(swapped.transpose(0, 1), y, atol=1e-6)


def test_bool_and_float_masks_agree():
    module = nn.MultiheadAttention(E, H)
    q, k = torch.randn(L, N, E), torch.randn(S, N, E)
    as_float = torch.zeros(L, S).masked_fill(MASK, -math.inf)
    assert torch.allclose(
        module(q, k, k, attn_mask=MASK)[0], module(q, k, k, attn_mask=as_float)[0]
    )
    with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask"):
        module(q, k, k, PADDING, attn_mask=as_float)


def test_extra_positions_are_seen_by_all():
    module = nn.MultiheadAttention(E, H, add_bias_kv=True, add_zero_attn=True)
    x = torch.randn(L, N, E)
    _, weights = module(x, x, x, key_padding_mask=torch.ones(N, L).bool())
    assert weights.shape == (N, L, L + 2)
    assert not weights[..., :L].any()
    assert torch.allclose(weights.sum(-1), torch.ones(N, L))


def test_a_causal_hint_equals_its_mask():
    module = nn.MultiheadAttention(E, H)
    x = torch.randn(L, N, E)
    mask = nn.Transformer.generate_square_subsequent_mask(L)
    quick, _ = module(x, x, x, need_weights=False, attn_mask=mask, is_causal=True)
    assert torch.allclose(quick, module(x, x, x, attn_mask=mask)[0], atol=1e-6)
