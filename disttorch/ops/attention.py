"""Scaled dot-product attention as one node.

Scores are made, normalised and used a block of images at a time, so that they stay in the cache;
what backward keeps is the normalised scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from disttorch.autograd.op import public
from disttorch.dtype import bool as bool_dtype
from disttorch.ops.composed import Composed
from disttorch.ops.dropout import keep_mask
from disttorch.ops.matmul import matmul
from disttorch.ops.pointwise_bounds import where
from disttorch.ops.shape_repeat import repeat_interleave
from disttorch.ops.softmax import softmax
from disttorch.tensor import Tensor

__all__ = ["scaled_dot_product_attention"]

Array = Any

# Scores in a block, of four bytes: half of 2 MB of L2 cache.
_BLOCK = 1 << 18


class Attention(Composed):
    """softmax(q k' * scale + mask) v: q (*, L, E), k (*, S, E), v (*, S, D) -> (*, L, D).

    `mask` is added to the scores, and broadcast; a row of it that is -inf throughout gives zeros.
    `kept` (*, L, S) are the bools of a dropout with the given rate, or None.
    """

    torch_name = "ScaledDotProductAttentionBackward0"

    def forward(
        ctx,
        q: Array,
        k: Array,
        v: Array,
        mask: Array | None,
        kept: Array | None,
        scale: float,
        rate: float,
    ) -> Array:
        ctx.save(0, 1, 2, 3, 4)
        ctx.scale, ctx.rate, xp = scale, rate, ctx.xp
        lead = _broadcast(q.shape[:-2], k.shape[:-2], v.shape[:-2])
        ctx.lead = lead
        scores_shape = (*lead, q.shape[-2], k.shape[-2])
        ctx.dtype = q.dtype
        q, k, v = (_spread(xp, a, lead) for a in (q, k, v))
        if mask is not None:
            mask = xp.broadcast_to(mask, scores_shape)
        p = xp.empty(scores_shape, q.dtype)
        y = xp.empty((*lead, q.shape[-2], v.shape[-1]), q.dtype)
        for part in _blocks(scores_shape):
            s = p[part]
            xp.matmul(q[part] * q.dtype.type(scale), xp.swapaxes(k[part], -1, -2), out=s)
            if mask is not None:
                s += mask[part]
            _normalise(xp, s)
            used = s if kept is None else s * (kept[part] * s.dtype.type(_gain(rate)))
            xp.matmul(used, v[part], out=y[part])
        ctx.p, ctx.y = p, y
        return y.astype(ctx.dtype)

    def gradients(ctx, g: Array) -> Any:
        q, k, v, _, kept = ctx.saved
        xp, lead, p = ctx.xp, ctx.lead, ctx.p
        q, k, v, g = (_spread(xp, a, lead) for a in (q, k, v, g))
        gq, gk, gv = (xp.empty(a.shape, a.dtype) for a in (q, k, v))
        g_mask = xp.empty(p.shape, p.dtype) if ctx.needs_grad(3) else None
        scale = p.dtype.type(ctx.scale)
        for part in _blocks(p.shape):
            weights, gy = p[part], g[part]
            gp = xp.matmul(gy, xp.swapaxes(v[part], -1, -2))
            used = weights
            if kept is not None:
                factor = kept[part] * p.dtype.type(_gain(ctx.rate))
                used = weights * factor
                gp *= factor
            xp.matmul(xp.swapaxes(used, -1, -2), gy, out=gv[part])
            gp -= (gy * ctx.y[part]).sum(-1, keepdims=True)
            gp *= weights
            if g_mask is not None:
                g_mask[part] = gp
            gp *= scale
            xp.matmul(gp, k[part], out=gq[part])
            xp.matmul(xp.swapaxes(gp, -1, -2), q[part], out=gk[part])
        made = (gq, gk, gv, g_mask)
        return *(None if a is None else a.astype(ctx.dtype, copy=False) for a in made), None

    def composed(ctx, *inputs: Any) -> Any:
        q, k, v, mask, kept = inputs
        scores = matmul(q, k.transpose(-2, -1)) * ctx.scale
        if mask is not None:
            hidden = mask.expand(scores.shape).isneginf().all(-1, keepdim=True)
            scores = scores + mask
            # The softmax of nothing is nan, and so would be its gradients.
            p = where(hidden, scores.new_zeros(()), softmax(where(hidden, mask * 0, scores), -1))
        else:
            p = softmax(scores, -1)
        if kept is not None:
            p = p * kept * _gain(ctx.rate)
        return matmul(p, v)


def _gain(rate: float) -> float:
    """What the elements that a dropout keeps are multiplied by."""
    return 1 / (1 - rate) if rate < 1 else 0.0


def _broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of shapes that broadcast."""
    n = max(len(s) for s in shapes)
    padded = [(1,) * (n - len(s)) + tuple(s) for s in shapes]
    return tuple(max(sizes) if 0 not in sizes else 0 for sizes in zip(*padded, strict=True))


def _spread(xp: Any, a: Array, lead: tuple[int, ...]) -> Array:
    """`a` with these leading dimensions; 16-bit floats in float32, which has a product."""
    if a.dtype.itemsize == 2:
        a = a.astype("float32")
    return a if a.shape[:-2] == lead else xp.broadcast_to(a, (*lead, *a.shape[-2:]))


def _blocks(shape: tuple[int, ...]) -> Iterator[Any]:
    """Slices of the first dimension with about `_BLOCK` elements each."""
    if len(shape) == 2:
        yield ...
        return
    step = max(1, _BLOCK // max(1, math.prod(shape[1:])))
    yield from (slice(i, i + step) for i in range(0, shape[0], step))


def _normalise(xp: Any, s: Array) -> None:
    """Softmax over the last dimension in place; rows of -inf become zeros."""
    if not s.shape[-1]:
        return
    top = s.max(-1, keepdims=True)
    s -= xp.where(top == -math.inf, s.dtype.type(0), top)
    xp.exp(s, out=s)
    total = s.sum(-1, keepdims=True)
    s /= xp.where(total == 0, s.dtype.type(1), total)


def _check(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> None:
    """RuntimeError with PyTorch's texts for operands that do not fit together."""
    tensors = {"query": query, "key": key, "value": value}
    if len({t.dtype for t in tensors.values()}) > 1:
        kinds = " ".join(f"{name}.dtype: {_short(t)}" for name, t in tensors.items())
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got "
            f"{kinds.replace(' value', ' and value')} instead."
        )
    if min(t.ndim for t in tensors.values()) < 2:
        ranks = " ".join(f"{name}.dim: {t.ndim}" for name, t in tensors.items())
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got "
            f"{ranks.replace(' value', ' and value')} instead."
        )
    _check_lengths(query, key, value)
    if causal and mask is not None:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )
    if mask is not None and mask.dtype not in (bool_dtype, query.dtype):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {_short(mask)} and  query.dtype: {_short(query)} instead."
        )


def _check_lengths(query: Tensor, key: Tensor, value: Tensor) -> None:
    """RuntimeError unless query (*, L, E), key (*, S, E) and value (*, S, D) share E and S."""
    (*lead, n, width), (s, other) = query.shape, key.shape[-2:]
    for wanted, given in (((width, s), (other, s)), ((s, value.shape[-1]), value.shape[-2:])):
        if wanted[0] == given[0]:
            continue
        if query.ndim == key.ndim == value.ndim == 2:
            a, b = ((n, width), (other, s)) if given[0] == other else ((n, s), given)
            raise RuntimeError(
                f"mat1 and mat2 shapes cannot be multiplied ({a[0]}x{a[1]} and {b[0]}x{b[1]})"
            )
        batches = math.prod(lead)
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{batches}, {wanted[0]}] but got: [{batches}, {given[0]}]."
        )


def _short(t: Tensor) -> str:
    names = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int"}
    return names.get(t.dtype.name, t.dtype.name)


def _causal_mask(query: Tensor, key: Tensor) -> Tensor:
    """-inf above the diagonal, 0 elsewhere: (L, S)."""
    xp = query.backend.xp
    mask = xp.full((query.shape[-2], key.shape[-2]), -math.inf, query._array.dtype)
    return Tensor._wrap(xp.triu(mask, 1))


def additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask as what is added to scores: -inf where a bool mask is False."""
    if mask.dtype != bool_dtype:
        return mask
    backend = like.backend
    zero, hidden = (backend.asarray(v, like._array.dtype) for v in (0, -math.inf))
    return Tensor._wrap(backend.xp.where(mask._array, zero, hidden))


@public(function=False)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query key' * scale + mask) value: (*, L, E), (*, S, E), (*, S, D) -> (*, L, D).

    `attn_mask` (broadcast to (*, L, S)) is added, or as bools says what takes part; `is_causal`
    hides what comes after. `scale` is 1 / sqrt(E) by default. With `enable_gqa` query may have a
    multiple of the heads (dimension -3) of key and value. RuntimeError if operands do not fit.
    """
    _check(query, key, value, attn_mask, is_causal)
    if enable_gqa:
        n = query.shape[-3]
        if n % key.shape[-3] or n % value.shape[-3]:
            raise RuntimeError(
                "Number of heads in key and value must divide the number of heads in query"
            )
        key = repeat_interleave(key, n // key.shape[-3], -3)
        value = repeat_interleave(value, n // value.shape[-3], -3)
    if is_causal:
        mask: Tensor | None = _causal_mask(query, key)
    else:
        mask = None if attn_mask is None else additive(attn_mask, query)
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    kept = None
    if dropout_p:
        lead = _broadcast(query.shape[:-2], key.shape[:-2])
        kept = keep_mask(query, (*lead, query.shape[-2], key.shape[-2]), dropout_p)
    return Attention.apply(query, key, value, mask, kept, scale=scale, rate=dropout_p)
