"""The Transformer, its encoder and decoder, and their layers."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any

from disttorch.autograd.grad_mode import is_grad_enabled
from disttorch.nn import functional as F
from disttorch.nn import init
from disttorch.nn.functional.attention import canonical_mask
from disttorch.nn.modules.activation import GELU, ReLU
from disttorch.nn.modules.attention import MultiheadAttention
from disttorch.nn.modules.container import ModuleList
from disttorch.nn.modules.dropout import Dropout
from disttorch.nn.modules.linear import Linear
from disttorch.nn.modules.module import Module
from disttorch.nn.modules.normalization import LayerNorm
from disttorch.ops.create_fill import full
from disttorch.tensor import Tensor

Activation = str | Callable[[Tensor], Tensor]


def _subsequent_mask(size: int, device: Any = None, dtype: Any = None) -> Tensor:
    """-inf above the diagonal, 0 elsewhere: (size, size)."""
    mask = full((size, size), -math.inf, dtype=dtype, device=device)
    return mask.triu(1)


def _is_causal(mask: Any, hint: bool | None, size: int) -> bool:
    """Return the hint, or without one whether `mask` hides exactly what comes after."""
    if hint is not None or mask is None:
        return hint is True
    causal = _subsequent_mask(size, mask.device, mask.dtype if mask.is_floating_point() else None)
    if mask.shape != causal.shape:
        return False
    hidden: Any = causal if mask.is_floating_point() else causal.isneginf()
    return bool((mask == hidden).all())


def _length(t: Tensor, batch_first: bool) -> int:
    return t.shape[1 if batch_first and t.ndim == 3 else 0]


def _function(activation: Activation) -> Callable[[Tensor], Tensor]:
    """The function of an activation's name; RuntimeError for other names than relu and gelu."""
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return getattr(F, activation)


def _copies(layer: Module, n: int) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(n)])


class _Layer(Module):
    """Part of both layers: the feed-forward block, and norms before or after each block."""

    n_blocks: int

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        names = ("self_attn", "multihead_attn")[: self.n_blocks - 1]
        for name in names:
            attention = MultiheadAttention(
                d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, **where
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **where)
        self.norm_first = norm_first
        for i in range(1, self.n_blocks + 1):
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **where)
            setattr(self, f"norm{i}", norm)
        for i in range(1, self.n_blocks + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = _function(activation)
        plain = inspect.unwrap(self.activation)  # autocast and Tensor subclasses wrap functions
        relu = plain is inspect.unwrap(F.relu) or isinstance(plain, ReLU)
        gelu = plain is inspect.unwrap(F.gelu) or isinstance(plain, GELU)
        self.activation_relu_or_gelu = 1 if relu else 2 if gelu else 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"activation": F.relu, **state})

    def _block(self, i: int, x: Tensor, transform: Callable[[Tensor], Tensor]) -> Tensor:
        """X plus what a block makes of it, with norm number `i` before or after."""
        norm = getattr(self, f"norm{i}")
        if self.norm_first:
            return x + transform(norm(x))
        return norm(x + transform(x))

    def _sa_block(
        self, x: Tensor, attn_mask: Any, key_padding_mask: Any, is_causal: bool = False
    ) -> Tensor:
        """Self-attention."""
        y, _ = self.self_attn(
            *(x, x, x),
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
            need_weights=False,
        )
        return self.dropout1(y)

    def _ff_block(self, x: Tensor) -> Tensor:
        """Two linear maps with the activation in between."""
        y = self.linear2(self.dropout(self.activation(self.linear1(x))))
        return getattr(self, f"dropout{self.n_blocks}")(y)


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward network, each added to its input and normalised."""

    n_blocks = 2

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Transform src (S, N, E), (N, S, E) with `batch_first`, or (S, E)."""
        padding = canonical_mask(
            src_key_padding_mask, "src_key_padding_mask", src_mask, "src_mask", src
        )
        mask = canonical_mask(src_mask, "src_mask", None, "", src)
        x = self._block(1, src, lambda x: self._sa_block(x, mask, padding, is_causal))
        return self._block(2, x, self._ff_block)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's output, and a feed-forward network."""

    n_blocks = 3

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Transform tgt (T, N, E) with memory (S, N, E); N first with `batch_first`."""
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory_mask, memory_key_padding_mask, memory_is_causal)
        x = self._block(1, tgt, lambda x: self._sa_block(x, *own))
        x = self._block(2, x, lambda x: self._mha_block(x, memory, *other))
        return self._block(3, x, self._ff_block)

    def _mha_block(
        self, x: Tensor, mem: Tensor, attn_mask: Any, key_padding_mask: Any, is_causal: bool = False
    ) -> Tensor:
        """Attention to the encoder's output."""
        y, _ = self.multihead_attn(
            *(x, mem, mem),
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
            need_weights=False,
        )
        return self.dropout2(y)


def _has_quick_form(layer: Any) -> bool:
    """Whether a layer has the settings for which PyTorch leaves padding out of the computation."""
    if not isinstance(layer, TransformerEncoderLayer) or layer.norm_first:
        return False
    attention = layer.self_attn
    return bool(
        attention.batch_first
        and attention._qkv_same_embed_dim
        and attention.in_proj_bias is not None
        and attention.num_heads % 2 == 0
        and layer.activation_relu_or_gelu
        and layer.norm1.eps == layer.norm2.eps
    )


class TransformerEncoder(Module):
    """`num_layers` copies of a layer, one after the other, then `norm`.

    There are no nested tensors here, but as in PyTorch padding comes out as zeros where they would
    be used: `enable_nested_tensor`, evaluation without gradients, padding at the end (if
    `mask_check`), and a layer with its batch first, norms last and the usual settings.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = enable_nested_tensor and _has_quick_form(encoder_layer)
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Pass src through all layers; without `is_causal` the mask is looked at."""
        padding = canonical_mask(src_key_padding_mask, "src_key_padding_mask", mask, "mask", src)
        mask = canonical_mask(mask, "mask", None, "", src)
        first: Any = self.layers[0]
        causal = _is_causal(mask, is_causal, _length(src, first.self_attn.batch_first))
        empties = mask is None and padding is not None and self._empties_padding(src, padding)
        for layer in self.layers:
            src = layer(src, src_mask=mask, is_causal=causal, src_key_padding_mask=padding)
        if empties:
            src = src.masked_fill((padding != 0).unsqueeze(-1), 0.0)  # type: ignore[union-attr]
        return src if self.norm is None else self.norm(src)

    def _empties_padding(self, src: Tensor, padding: Any) -> bool:
        """Whether PyTorch would take its way without padding, which leaves zeros there."""
        if not self.use_nested_tensor or self.layers[0].training or src.ndim != 3:
            return False
        hidden = padding != 0
        if self.mask_check and bool((hidden[:, :-1] & ~hidden[:, 1:]).any()):
            return False
        learning = src.requires_grad or any(p.requires_grad for p in self.layers[0].parameters())
        return not (is_grad_enabled() and learning)


class TransformerDecoder(Module):
    """`num_layers` copies of a layer, one after the other, then `norm`."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Pass tgt through all layers, each of which sees memory."""
        first: Any = self.layers[0]
        causal = _is_causal(tgt_mask, tgt_is_causal, _length(tgt, first.self_attn.batch_first))
        for layer in self.layers:
            tgt = layer(
                *(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask),
                *(memory_key_padding_mask, causal, memory_is_causal),
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder, as in "Attention is all you need"; no embeddings, no output layer."""

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        sizes = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        flags = (batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **where)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*sizes, *flags, **where), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*sizes, *flags, **where), num_decoder_layers, norm()
        )
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Encode src (S, N, E) and decode tgt (T, N, E): (T, N, E); N first with `batch_first`.

        RuntimeError for different batches or another number of features than `d_model`.
        """
        dim = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[dim] != tgt.shape[dim]:
            raise RuntimeError("the batch number of src and tgt must be equal")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError("the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        decoded: Tensor = self.decoder(
            *(tgt, memory),
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )
        return decoded

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """Return the mask (sz, sz) that hides what comes after: -inf there, 0 elsewhere."""
        return _subsequent_mask(sz, device, dtype)

    def _reset_parameters(self) -> None:
        for param in self.parameters():
            if param.ndim > 1:
                init.xavier_uniform_(param)
