"""Rows of a table by number, and numbers as one-hot rows."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.tensor import Tensor

__all__ = ["embedding", "one_hot"]

Array = Any


class Embedding(Op):
    """Rows of w (n, D) by numbers (*S): (*S, D); row `padding_idx` gets no gradient."""

    def forward(ctx, w: Array, index: Array, padding_idx: int, by_frequency: bool = False) -> Array:
        ctx.index, ctx.n_rows = index, w.shape[0]
        ctx.padding_idx, ctx.by_frequency = padding_idx, by_frequency
        y = ctx.xp.take(w, index, axis=0)
        return y

    def backward(ctx, g: Any) -> Any:
        how = {"padding_idx": ctx.padding_idx, "by_frequency": ctx.by_frequency}
        index = ctx.constant(ctx.index)
        return ctx.call(EmbeddingGrad, g, index, n_rows=ctx.n_rows, **how), None


class EmbeddingGrad(Op):
    """Rows gy (*S, D) added up by their numbers (*S): (n_rows, D)."""

    def forward(
        ctx, gy: Array, index: Array, n_rows: int, padding_idx: int, by_frequency: bool
    ) -> Array:
        ctx.index = index
        xp, flat = ctx.xp, index.reshape(-1)
        rows = gy.reshape(flat.size, gy.shape[-1])
        kept = flat != padding_idx
        ctx.scale = kept.astype(gy.dtype)
        if by_frequency:
            ctx.scale = ctx.scale / xp.maximum(xp.bincount(flat, minlength=n_rows), 1)[flat]
        if by_frequency or padding_idx >= 0:
            ctx.scale = ctx.scale.astype(gy.dtype).reshape(-1, 1)
            rows = rows * ctx.scale
        else:
            ctx.scale = None
        gw = xp.zeros((n_rows, gy.shape[-1]), gy.dtype)
        ctx.backend.scatter_add(gw, (flat,), rows)
        return gw

    def backward(ctx, g: Any) -> Any:
        rows = ctx.call(Embedding, g, ctx.constant(ctx.index), padding_idx=-1)
        if ctx.scale is not None:
            rows = rows * ctx.constant(ctx.scale.reshape(*ctx.index.shape, 1))
        return rows, None


@public()
def embedding(
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return rows of `weight` (n, D) by `indices` (*S), int32 or int64: (*S, D).

    Gradients are dense, `sparse` or not; row `padding_idx` gets none, and `scale_grad_by_freq`
    divides those of a row by how often it occurs. IndexError for an index out of range.
    """
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    if indices.dtype.name not in ("int64", "int32"):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got {indices.type()} instead (while checking arguments for embedding)"
        )
    if weight.backend.first_outside(indices._array, 0, weight.shape[0]) is not None:
        raise IndexError("index out of range in self")
    return Embedding.apply(
        weight, indices, padding_idx=padding_idx, by_frequency=scale_grad_by_freq
    )


def renormalise_rows(weight: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows of `weight` that `indices` names down to `max_norm`, in place."""
    xp = weight.backend.xp
    table = weight._array
    named = xp.unique(indices._array)
    rows = table[named]
    norms = (xp.abs(rows) ** norm_type).sum(1, keepdims=True) ** (1 / norm_type)
    table[named] = xp.where(norms > max_norm, rows * (max_norm / (norms + 1e-7)), rows)
    weight._cell[0] += 1


@public()
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Return int64 rows (*S, num_classes), 1 at the number given by `tensor` (*S), int64.

    Raises RuntimeError for other dtypes and for numbers out of range.
    """
    if tensor.dtype.name != "int64":
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    backend, index = tensor.backend, tensor._array
    if not index.size:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
    elif int(index.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    elif num_classes == -1:
        num_classes = int(index.max()) + 1
    elif int(index.max()) >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    classes = backend.xp.arange(num_classes)
    return Tensor._wrap((backend.xp.expand_dims(index, -1) == classes).astype("int64"))
