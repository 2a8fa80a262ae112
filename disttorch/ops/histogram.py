"""Counting: bincount, and histograms of one and of many dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disttorch import return_types
from disttorch.autograd.op import public
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.out import accepts_out
from disttorch.tensor import Tensor

__all__ = ["bincount", "histc", "histogram", "histogramdd"]

Array = Any


@public(method=True)
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each non-negative integer occurs in a 1-D tensor, or the sum of its weights."""
    x, xp = input._array, input.backend.xp
    if x.dtype.kind not in "iu":
        kind = TYPE_NAMES[input.dtype]
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{kind}'")
    if x.ndim != 1 or (x.size and int(x.min()) < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError(f"minlength should be >= 0 but got {minlength}")
    if weights is None:
        return Tensor._wrap(xp.bincount(x, minlength=minlength).astype("int64", copy=False))
    if weights.shape != input.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    counted = xp.bincount(x, weights=weights._array, minlength=minlength)
    kept = "float32" if weights.dtype.name == "float32" else "float64"
    return Tensor._wrap(counted.astype(kept, copy=False))


def _range_of(x: Array, low: float, high: float, margin: float) -> tuple[float, float]:
    """Limits of the bins: those given or, if they are equal, those of the data, or `margin` off."""
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if low == high:
        low, high = low - margin, high + margin
    return low, high


def _places(x: Array, edges: Array, xp: Any) -> Array:
    """Number of the bin each element of a 1-D array is in, -1 outside; the last bin is closed."""
    n = edges.shape[0] - 1
    place = xp.searchsorted(edges, x, side="right") - 1
    place = xp.where(x == edges[n], n - 1, place)
    return xp.where((x >= edges[0]) & (x <= edges[n]), place, -1)


def _even_places(x: Array, low: float, high: float, bins: int, xp: Any) -> Array:
    """`_places` for `bins` equal bins, computed rather than searched, in the dtype of x."""
    inside = (x >= low) & (x <= high)
    first, n, width = (x.dtype.type(v) for v in (low, bins, high - low))
    place = xp.where(inside, (x - first) * n / width, x.dtype.type(0)).astype("int64")
    return xp.where(inside, xp.minimum(place, bins - 1), -1)


@public(method=True)
@accepts_out
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """Counts of elements in `bins` equal parts of [min, max], by default the range of the data.

    Raises NotImplementedError unless floating, RuntimeError for no bins or limits out of order.
    """
    if not input.is_floating_point():
        raise NotImplementedError(
            f"\"histogram_cpu\" not implemented for '{TYPE_NAMES[input.dtype]}'"
        )
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    x, xp = input._array.reshape(-1), input.backend.xp
    low, high = _range_of(x, float(min), float(max), 1)
    if low > high:
        raise RuntimeError("max must be larger than min")
    place = _even_places(x, low, high, bins, xp)
    counts = xp.bincount(place[place >= 0], minlength=bins)
    return Tensor._wrap(counts.astype(x.dtype))


# ---- many dimensions -----------------------------------------------------------------------------

Edges = Sequence[Array]


def _edges(x: Array, bins: Sequence[Any], limits: Sequence[float] | None, xp: Any) -> list[Array]:
    """Edges of the bins for each column of x (n, d): those given as tensors, or even ones."""
    found = []
    for d, n in enumerate(bins):
        if isinstance(n, Tensor):
            found.append(n._array)
            continue
        if limits:
            low, high = _range_of(x[:0, d], float(limits[2 * d]), float(limits[2 * d + 1]), 0.5)
        else:
            low, high = _range_of(x[:, d], 0.0, 0.0, 0.5) if x.size else (0.0, 1.0)
        found.append(xp.linspace(low, high, int(n) + 1).astype(x.dtype))
    return found


def _histogram(x: Array, edges: Edges, weight: Array | None, density: bool, xp: Any) -> Array:
    """Count the rows of x (n, d), or sum their weights, in boxes between the edges."""
    shape = tuple([e.shape[0] - 1 for e in edges])
    flat, inside = xp.zeros(x.shape[0], "int64"), xp.ones(x.shape[0], bool)
    for d, (row, n) in enumerate(zip(edges, shape, strict=True)):
        place = _places(x[:, d], row, xp)
        inside &= place >= 0
        flat = flat * n + place
    total = 1
    for n in shape:
        total *= n
    shares = None if weight is None else weight.reshape(-1)[inside]
    counts = xp.bincount(flat[inside], weights=shares, minlength=total).reshape(shape)
    counts = counts.astype(x.dtype)
    if density:
        counts = counts / counts.sum()
        for d, row in enumerate(edges):
            widths = xp.diff(row).reshape([-1 if i == d else 1 for i in range(len(edges))])
            counts = counts / widths
    return counts


def _check(input: Tensor, weight: Tensor | None, name: str) -> None:
    if input.dtype.name not in ("float32", "float64"):
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{TYPE_NAMES[input.dtype]}'")
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(
            "torch.histogram: if weight tensor is provided, input tensor and weight should have "
            f"the same dtype, but got input {input.dtype}, and weight {weight.dtype}"
        )


@public(method=True)
@accepts_out
def histogram(
    input: Tensor,
    bins: Tensor | int,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """Counts of elements between the edges of bins: fields hist and bin_edges.

    `bins` are increasing edges (1-D), or the number of equal bins of `range` (by default that of
    the data). `weight`, shaped as `input`, counts instead of 1; `density` makes the integral 1.
    """
    _check(input, weight, "histogram")
    x, xp = input._array.reshape(-1, 1), input.backend.xp
    edges = _edges(x, [bins], range, xp)
    shares = None if weight is None else weight._array
    hist = _histogram(x, edges, shares, density, xp)
    return return_types.histogram([Tensor._wrap(hist), Tensor._wrap(edges[0].copy())])


@public()
def histogramdd(
    input: Tensor,
    bins: Any,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """Counts of the rows of `input` (*, d) in boxes: fields hist and bin_edges (d tensors).

    `bins`: one number of bins or, for each dimension, its number or its edges; `range` has the
    lowest and highest edge of each dimension. RuntimeError for another number of them than d.
    """
    if input.ndim < 2:
        raise RuntimeError(
            "torch.histogramdd: input tensor should have at least 2 dimensions, but got "
            f"{input.ndim}"
        )
    _check(input, weight, "histogramdd")
    n = input.shape[-1]
    chosen = list(bins) if isinstance(bins, (list, tuple)) else [bins] * n
    if len(chosen) != n:
        raise RuntimeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input."
        )
    x, xp = input._array.reshape(-1, n), input.backend.xp
    edges = _edges(x, chosen, range, xp)
    hist = _histogram(x, edges, None if weight is None else weight._array, density, xp)
    columns = tuple([Tensor._wrap(e.copy()) for e in edges])
    return return_types.histogramdd([Tensor._wrap(hist), columns])
