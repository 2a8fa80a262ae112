"""Bags of embeddings: rows of a table looked up and reduced at once."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

from disttorch.nn.functional.embedding import embedding
from disttorch.ops.pointwise_bounds import where
from disttorch.tensor import Tensor


def _check(weight: Any, input: Any, offsets: Any, samples: Any, mode: str) -> None:
    """ValueError with PyTorch's texts for arguments that do not belong together."""
    if samples is not None and input.shape != samples.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({samples.shape}) is not None, then it must "
            f"have the same shape as the input ({input.shape})"
        )
    if weight.ndim != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}")
    if input.ndim == 2 and offsets is not None:
        raise ValueError(
            "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of "
            f"fixed length sequences. However, found offsets of type {type(offsets)}"
        )
    if input.ndim == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.ndim != 1:
            raise ValueError("offsets has to be a 1D Tensor")
    if input.ndim not in (1, 2):
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}"
        )
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if samples is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub."
        )


def _starts(input: Any, offsets: Any, include_last: bool) -> list[int]:
    """Where bags start, and where the last one ends; RuntimeError for impossible offsets."""
    n = input.numel()
    if input.ndim == 2:
        width = input.shape[1]
        return [i * width for i in range(input.shape[0] + 1)]
    starts = [int(i) for i in offsets.tolist()]
    if include_last and not starts:
        raise RuntimeError("include_last_offset: number of offset should be at least 1")
    if starts and starts[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {starts[0]}\n[ torch.LongTensor{{}} ]"
        )
    if starts and starts[-1] > n:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length({n}) but got offsets[-1] of "
            f"{starts[-1]}"
        )
    return starts if include_last else [*starts, n]


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or maximum of the rows of `weight` (n, D) in each bag: (bags, D).

    Bags are the rows of input (bags, length), or parts of input (rows,) that start at `offsets`.
    Row `padding_idx` counts as absent, an empty bag gives zeros. ValueError for shapes.
    """
    if weight.dtype.name == "int64" and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag("
            "weight, input, ...)` is deprecated, and should now be `embedding_bag(input, weight, "
            "...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    _check(weight, input, offsets, per_sample_weights, mode)
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    starts = _starts(input, offsets, include_last_offset)
    flat = input.reshape(-1)
    rows: Any = embedding(
        flat, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse
    )
    bags = _Bags(weight.backend, starts, flat, padding_idx, weight.shape[0])
    if mode == "max":
        return bags.maximum(rows)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    return bags.total(rows, mean=mode == "mean")


class _Bags:
    """Which bag each row belongs to, and which rows count."""

    def __init__(
        self, backend: Any, starts: list[int], flat: Any, padding_idx: int | None, n_rows: int
    ) -> None:
        self.backend, xp = backend, backend.xp
        self.n_bags = max(0, len(starts) - 1)
        bounds = list(pairwise(starts))
        number = [i for i, (a, b) in enumerate(bounds) for _ in range(a, b)]
        number += [self.n_bags] * (flat.numel() - len(number))  # what no bag holds
        self.number = backend.asarray(number, "int64")
        self.counted = self.number < self.n_bags
        if padding_idx is not None:
            self.counted &= flat._array != padding_idx % n_rows
        ends = xp.where(self.counted, self.number, self.n_bags)
        self.counts = xp.bincount(ends, minlength=self.n_bags + 1)[: self.n_bags]

    def total(self, rows: Any, mean: bool) -> Tensor:
        """Sum (or mean) of the rows of each bag: (bags, D)."""
        kept = where(Tensor._wrap(self.counted[:, None]), rows, rows.new_zeros(()))
        zeros = rows.detach().new_zeros((self.n_bags + 1, rows.shape[1]))
        total: Any = zeros.index_add(0, Tensor._wrap(self.number), kept)[: self.n_bags]
        if not mean:
            return total
        divisor = self.backend.xp.maximum(self.counts, 1).astype(rows._array.dtype)
        return total / Tensor._wrap(divisor[:, None])

    def maximum(self, rows: Any) -> Tensor:
        """Largest element of each column in each bag, (bags, D); the first one has the gradient."""
        xp, values = self.backend.xp, rows._array
        n, depth = values.shape
        where_to = xp.where(self.counted, self.number, self.n_bags)
        spread = xp.broadcast_to(where_to[:, None], values.shape)
        columns = xp.broadcast_to(xp.arange(depth), values.shape)
        top = xp.full((self.n_bags + 1, depth), -float("inf"), values.dtype)
        self.backend.scatter_reduce(top, (spread, columns), values, "amax")
        order = xp.broadcast_to(xp.arange(n)[:, None], values.shape)
        found = xp.where(values == top[where_to], order, n)
        first = xp.full((self.n_bags + 1, depth), n, "int64")
        self.backend.scatter_reduce(first, (spread, columns), found, "amin")
        chosen = xp.minimum(first[: self.n_bags], max(n - 1, 0))
        filled = Tensor._wrap((self.counts > 0)[:, None])
        if not n:
            return rows.new_zeros((self.n_bags, depth))
        return where(filled, rows.gather(0, Tensor._wrap(chosen)), rows.new_zeros(()))
