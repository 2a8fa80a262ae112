"""Multi-head attention as a function of all its parameters."""

from __future__ import annotations

import math
import warnings
from typing import Any

from disttorch.dtype import bool as bool_dtype
from disttorch.nn.functional.dropout import dropout
from disttorch.nn.functional.pad import pad
from disttorch.nn.functional.softmax import softmax
from disttorch.ops.attention import additive, scaled_dot_product_attention
from disttorch.ops.join import cat
from disttorch.ops.matmul import linear, matmul
from disttorch.tensor import Tensor

Mask = Tensor | None


def canonical_mask(mask: Mask, name: str, other: Mask, other_name: str, like: Tensor) -> Mask:
    """Return a mask that is added to scores: -inf where a bool mask is True.

    AssertionError for dtypes other than bool and floating ones; a warning for two different kinds.
    """
    if mask is None:
        return None
    if mask.dtype != bool_dtype and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if other is not None and other.dtype != mask.dtype:
        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both "
            "instead.",
            stacklevel=3,
        )
    return additive(~mask, like) if mask.dtype == bool_dtype else mask


def _check_ranks(
    query: Tensor, key: Tensor, value: Tensor, padding: Mask, mask: Mask, num_heads: int
) -> bool:
    """AssertionError for ranks that do not belong together; whether there is a batch."""
    if query.ndim not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query "
            "tensor"
        )
    batched = query.ndim == 3
    kind, n = ("batched (3-D)", 3) if batched else ("unbatched (2-D)", 2)
    if key.ndim != n or value.ndim != n:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {n}-D but found {key.ndim}-D "
            f"and {value.ndim}-D tensors respectively"
        )
    if padding is not None and padding.ndim != n - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {n - 1}-D but found "
            f"{padding.ndim}-D tensor instead"
        )
    if mask is not None:
        if mask.ndim not in (2, 3):
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
                f"{mask.ndim}-D tensor instead"
            )
        wanted = (num_heads, query.shape[0], key.shape[0])
        if not batched and mask.ndim == 3 and mask.shape != wanted:
            raise AssertionError(
                f"Expected `attn_mask` shape to be {wanted} but got {tuple(mask.shape)}"
            )
    return batched


def _check_sizes(query: Tensor, key: Tensor, value: Tensor, embed_dim: int, heads: int) -> None:
    """AssertionError for sizes that the parameters do not fit."""
    given = query.shape[-1]
    if given != embed_dim:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim}, but got {given}")
    if given % heads:
        raise AssertionError(f"embed_dim {given} not divisible by num_heads {heads}")
    if key.shape[:2] != value.shape[:2]:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")


def _projected(query: Any, key: Any, value: Any, weights: Any, bias: Any) -> list[Tensor]:
    """Query, key and value times their weights; as one product where they are one tensor."""
    n = query.shape[-1]
    if not isinstance(weights, Tensor):
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        inputs = (query, key, value)
        return [linear(*each) for each in zip(inputs, weights, biases, strict=True)]
    if query is key and key is value:
        joined: Any = linear(query, weights, bias)
        return list(joined.unflatten(-1, (3, n)).unbind(-2))
    w: Any = weights
    biases = (None, None) if bias is None else (bias[:n], bias[n:])
    q = linear(query, w[:n], biases[0])
    if key is value:
        joined = linear(key, w[n:], biases[1])
        return [q, *joined.unflatten(-1, (2, n)).unbind(-2)]
    b_k, b_v = (None, None) if bias is None else bias[n:].chunk(2)
    return [q, linear(key, w[n : 2 * n], b_k), linear(value, w[2 * n :], b_v)]


def _heads(t: Any, n_heads: int) -> Any:
    """(L, N, H * D) -> (N, H, L, D)."""
    return t.unflatten(-1, (n_heads, -1)).permute(1, 2, 0, 3)


def _static(t: Tensor | None, name: str, projected: Tensor) -> Tensor:
    """Keys or values (N, H, S, D): given ones (N * H, S, D), checked, or else the projected."""
    if t is None:
        return projected
    n, heads, _, depth = projected.shape
    for dim, size in ((0, n * heads), (2, depth)):
        if t.shape[dim] != size:
            raise AssertionError(f"expecting {name}.size({dim}) of {size}, but got {t.shape[dim]}")
    return t.reshape(n, heads, *t.shape[1:])


def _masks(
    query: Tensor, padding: Tensor | None, mask: Tensor | None, is_causal: bool, weights: bool
) -> tuple[Any, Any, bool]:
    """Both masks to be added, or None, and whether attention is causal without one."""
    canonical = canonical_mask(padding, "key_padding_mask", mask, "attn_mask", query)
    if is_causal and mask is None:
        raise RuntimeError(_CAUSAL_WITHOUT_MASK)
    causal = is_causal and canonical is None and not weights
    added = None if causal else canonical_mask(mask, "attn_mask", None, "", query)
    return canonical, added, causal


def _shaped_mask(mask: Any, query: Tensor, key: Tensor, heads: int) -> Any:
    """Check an attention mask (L, S) or (N * H, L, S), make it broadcast to (N, H, L, S)."""
    if mask is None:
        return None
    (n_queries, n, _), n_keys = query.shape, key.shape[0]
    wanted = {2: (n_queries, n_keys), 3: (n * heads, n_queries, n_keys)}
    if mask.ndim not in wanted:
        raise RuntimeError(f"attn_mask's dimension {mask.ndim} is not supported")
    if mask.shape != wanted[mask.ndim]:
        raise RuntimeError(
            f"The shape of the {mask.ndim}D attn_mask is {mask.shape}, but should be "
            f"{wanted[mask.ndim]}."
        )
    return mask if mask.ndim == 2 else mask.reshape(n, heads, n_queries, n_keys)


class _Keys:
    """Keys and values (N, H, S, D) with their mask, which may be extended by further positions."""

    def __init__(self, k: Any, v: Any, mask: Any, padding: Any) -> None:
        self.k, self.v, self.mask, self.padding = k, v, mask, padding

    def extend(self, k: Tensor, v: Tensor) -> None:
        """Add a position that every query may attend to."""
        n, heads = self.k.shape[:2]
        self.k = cat([self.k, k.expand(n, heads, 1, k.shape[-1])], 2)
        self.v = cat([self.v, v.expand(n, heads, 1, v.shape[-1])], 2)
        self.mask = None if self.mask is None else pad(self.mask, (0, 1))
        self.padding = None if self.padding is None else pad(self.padding, (0, 1))

    def merged(self) -> Any:
        """The sum of both masks, broadcast to (N, H, L, S)."""
        if self.padding is None:
            return self.mask
        n, n_keys = self.k.shape[0], self.k.shape[2]
        if self.padding.shape != (n, n_keys):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(n, n_keys)}, but got {self.padding.shape}"
            )
        padding = self.padding.reshape(n, 1, 1, n_keys)
        return padding if self.mask is None else self.mask + padding


def _attend(
    q: Any, keys: _Keys, rate: float, causal: bool, averaged: bool | None
) -> tuple[Any, Any]:
    """Attention, and its weights (N, H, L, S) or their mean (N, L, S), or None if that is None."""
    mask = keys.merged()
    if averaged is None:
        return scaled_dot_product_attention(q, keys.k, keys.v, mask, rate, causal), None
    scores = matmul(q * math.sqrt(1 / q.shape[-1]), keys.k.transpose(-2, -1))
    weights = softmax(scores if mask is None else scores + mask, -1)
    if rate > 0:
        weights = dropout(weights, rate)
    y = matmul(weights, keys.v)
    return y, weights.mean(1) if averaged else weights


_CAUSAL_WITHOUT_MASK = (
    "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
    "method `generate_square_subsequent_mask` to create this mask."
)


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of query (L, [N,] E) to key and value (S, [N,] *): output and weights, or None.

    See `nn.MultiheadAttention`. AssertionError and RuntimeError for shapes that do not fit.
    """
    batched = _check_ranks(query, key, value, key_padding_mask, attn_mask, num_heads)
    padding, mask, causal = _masks(query, key_padding_mask, attn_mask, is_causal, need_weights)
    if not batched:
        query, key, value = _batches_of_one(query, key, value)
        padding = None if padding is None else padding.unsqueeze(0)
    _check_sizes(query, key, value, embed_dim_to_check, num_heads)
    mask = _shaped_mask(mask, query, key, num_heads)
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    weight = separate if use_separate_proj_weight else in_proj_weight
    q, k, v = (_heads(t, num_heads) for t in _projected(query, key, value, weight, in_proj_bias))
    k, v = _static(static_k, "static_k", k), _static(static_v, "static_v", v)
    keys = _Keys(k, v, mask, padding)
    _extend(keys, bias_k, bias_v, static_k, static_v, add_zero_attn)
    rate = dropout_p if training else 0.0
    y, seen = _attend(q, keys, rate, causal, average_attn_weights if need_weights else None)
    y = linear(y.permute(2, 0, 1, 3).reshape(query.shape), out_proj_weight, out_proj_bias)
    if batched:
        return y, seen
    return y.squeeze(1), None if seen is None else seen.squeeze(0)


def _batches_of_one(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sequences (L, E) as (L, 1, E); what is one tensor stays one, which takes one projection."""
    if query is key and key is value:
        query = query.unsqueeze(1)
        return query, query, query
    return query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)


def _extend(
    keys: _Keys, bias_k: Any, bias_v: Any, static_k: Any, static_v: Any, zeros: bool
) -> None:
    """Add the learnt position (1, 1, E) and the one of zeros."""
    heads = keys.k.shape[1]
    if (bias_k is None) != (bias_v is None):
        given, other = ("bias_k", "bias_v") if bias_v is None else ("bias_v", "bias_k")
        raise AssertionError(f"{given} is set but {other} is None")
    if bias_k is not None:
        for name, static in (("key", static_k), ("value", static_v)):
            if static is not None:
                raise AssertionError(f"bias cannot be added to static {name}.")
        extra = (b.reshape(1, 1, -1) for b in (bias_k, bias_v))
        keys.extend(*(_heads(b, heads) for b in extra))
    if zeros:
        keys.extend(*(t.new_zeros((1, 1, 1, t.shape[-1])) for t in (keys.k, keys.v)))
