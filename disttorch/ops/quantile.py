"""Quantiles: values below which a given part of the elements lies."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import public
from disttorch.ops.arithmetic import mul, sub
from disttorch.ops.arithmetic_fused import lerp
from disttorch.ops.create import scalar_tensor
from disttorch.ops.index_gather import gather
from disttorch.ops.out import accepts_out
from disttorch.ops.pointwise_bounds import where
from disttorch.ops.shape import expand, movedim, reshape
from disttorch.ops.sort import sort
from disttorch.tensor import Tensor

__all__ = ["nanquantile", "quantile"]

Array = Any

_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _checked(input: Tensor, q: Any, interpolation: str, name: str) -> Tensor:
    """Return `q` as a tensor after the checks PyTorch makes, with its texts (RuntimeError)."""
    if not input.numel():
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if input.dtype.name not in ("float32", "float64"):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q:g}")
        return scalar_tensor(q, dtype=input.dtype, device=input.device)
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if not bool(((q._array >= 0) & (q._array <= 1)).all()):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    return q


def _ranks(ordered: Array, q: Tensor, ignore_nan: bool, xp: Any) -> Tensor:
    """Positions (*rows, len(q)), with fractions, of the quantiles in sorted rows (*rows, n)."""
    n = ordered.shape[-1]
    missing = xp.isnan(ordered)
    if ignore_nan:
        known = n - xp.sum(missing, axis=-1, keepdims=True)
        return mul(q, Tensor._wrap(xp.maximum(known - 1, 0).astype(ordered.dtype)))
    ranks = expand(mul(q, n - 1), (*ordered.shape[:-1], q.shape[-1]))
    # NaN sorts last: with one in the row, the last element is the answer.
    return where(Tensor._wrap(missing.any(axis=-1, keepdims=True)), float(n - 1), ranks)


def _quantile(
    input: Tensor, q: Tensor, dim: int | None, keepdim: bool, how: str, ignore_nan: bool
) -> Tensor:
    """Quantiles (len(q), *reduced), without the first dimension for a 0-d `q`."""
    d = 0 if dim is None else input._dim(dim)
    whole = dim is None or not input.ndim
    rows = reshape(input, (-1,)) if whole else movedim(input, d, -1)
    ordered = sort(rows, -1)[0]
    xp = input.backend.xp
    ranks = _ranks(ordered._array, reshape(q, (-1,)), ignore_nan, xp)
    rounded = {"lower": xp.floor, "higher": xp.ceil, "nearest": xp.rint}.get(how, xp.floor)
    low = rounded(ranks._array)
    y = gather(ordered, -1, Tensor._wrap(low.astype("int64")))
    if how in ("linear", "midpoint"):
        weight = sub(ranks, Tensor._wrap(low)) if how == "linear" else 0.5
        above = gather(ordered, -1, Tensor._wrap(xp.ceil(ranks._array).astype("int64")))
        y = lerp(y, above, weight)
    shape = list(rows.shape[:-1])
    if keepdim:
        shape = [1 if whole or i == d else n for i, n in enumerate(input.shape)]
    if not q.ndim:
        return reshape(y, shape)
    return reshape(movedim(y, -1, 0), [q.shape[0], *shape])


@public(method=True)
@accepts_out
def quantile(
    input: Tensor,
    q: Tensor | float,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """Quantiles `q` in [0, 1] (a number or 1-D) of all elements or along `dim`.

    NaN if there is one. Their dimension comes first. Between two elements the result is by
    `interpolation` "linear", "lower", "higher", "midpoint" or "nearest". RuntimeError for other
    words, dtypes than float32 and float64, `q` out of range, and for empty inputs.
    """
    q = _checked(input, q, interpolation, "quantile")
    return _quantile(input, q, dim, keepdim, interpolation, ignore_nan=False)


@public(method=True)
@accepts_out
def nanquantile(
    input: Tensor,
    q: Tensor | float,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """Quantiles as by `quantile`, NaN left out."""
    q = _checked(input, q, interpolation, "nanquantile")
    return _quantile(input, q, dim, keepdim, interpolation, ignore_nan=True)
