"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from disttorch.nn import functional as F
from disttorch.nn import init
from disttorch.nn.functional.attention import canonical_mask
from disttorch.nn.modules.linear import Linear
from disttorch.nn.modules.module import Module
from disttorch.nn.parameter import Parameter, empty_parameter
from disttorch.tensor import Tensor


class NonDynamicallyQuantizableLinear(Linear):
    """A Linear under the name that PyTorch's repr shows for an attention's output."""


class MultiheadAttention(Module):
    """Attention of queries to keys and values in `num_heads` subspaces.

    ``in_proj_weight`` is (3 * embed_dim, embed_dim), or ``q_proj_weight``, ``k_proj_weight`` and
    ``v_proj_weight`` where `kdim` or `vdim` differs.
    """

    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
        where = {"device": device, "dtype": dtype}
        self._add_projections(bias, where)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, **where)
        for name in ("bias_k", "bias_v"):
            extra = empty_parameter(1, 1, embed_dim, **where) if add_bias_kv else None
            setattr(self, name, extra)
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _add_projections(self, bias: bool, where: dict[str, Any]) -> None:
        """Make the weights of queries, keys and values, joined or apart."""
        n = self.embed_dim
        apart = {"q_proj_weight": n, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        if self._qkv_same_embed_dim:
            self.in_proj_weight = empty_parameter(3 * n, n, **where)
            for name in apart:
                self.register_parameter(name, None)
        else:
            for name, n_in in apart.items():
                setattr(self, name, empty_parameter(n, n_in, **where))
            self.register_parameter("in_proj_weight", None)
        given = empty_parameter(3 * n, **where) if bias else None
        self.register_parameter("in_proj_bias", given)

    def _reset_parameters(self) -> None:
        """Start anew: uniform weights by Xavier's rule, biases 0."""
        weights = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
        for name in weights:
            if getattr(self, name) is not None:
                init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)  # type: ignore[arg-type]
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"_qkv_same_embed_dim": True, **state})

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from query (L, N, E) to key and value (S, N, *): output (L, N, E) and weights.

        With `batch_first` N comes first; without a batch it is missing. Bool masks hide where they
        are True, floating ones are added. Weights are (N, L, S), (N, heads, L, S) unless averaged,
        None unless wanted; without them attention is quicker.
        """
        swap = self.batch_first and query.ndim == 3
        padding = canonical_mask(
            key_padding_mask, "key_padding_mask", attn_mask, "attn_mask", query
        )
        mask = canonical_mask(attn_mask, "attn_mask", None, "", query)
        if swap:
            same_key, same_value = key is query, value is key
            query = query.transpose(1, 0)
            key = query if same_key else key.transpose(1, 0)
            value = key if same_value else value.transpose(1, 0)
        output, weights = F.multi_head_attention_forward(
            *(query, key, value, self.embed_dim, self.num_heads),
            *(self.in_proj_weight, self.in_proj_bias, self.bias_k, self.bias_v),
            *(self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias),
            training=self.training,
            key_padding_mask=padding,
            need_weights=need_weights,
            attn_mask=mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (output.transpose(1, 0) if swap else output), weights

    def merge_masks(
        self, attn_mask: Any, key_padding_mask: Any, query: Tensor
    ) -> tuple[Tensor | None, int | None]:
        """Return both masks as one and its type: 0, 1 or 2 for query, key or both.

        The merged mask of two is (N, heads, L, L).
        """
        if attn_mask is None:
            return key_padding_mask, None if key_padding_mask is None else 1
        n, length, _ = query.shape
        if attn_mask.ndim == 3:
            merged = attn_mask.reshape(n, -1, length, length)
        else:
            merged = attn_mask.reshape(1, 1, length, length).expand(n, self.num_heads, -1, -1)
        if key_padding_mask is not None:
            merged = merged + key_padding_mask.reshape(n, 1, 1, length)
        return merged, 2
