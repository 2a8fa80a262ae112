"""Lengths, distances and angles of vectors along a dimension."""

from __future__ import annotations

from disttorch.ops.distance import vector_length
from disttorch.ops.pointwise_bounds import clamp
from disttorch.tensor import Tensor


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Divide by the `p`-norm along `dim`, at least `eps`."""
    y = input / clamp(vector_length(input, p, dim, keepdim=True), min=eps)
    return y if out is None else out.copy_(y)
