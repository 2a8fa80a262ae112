"""Picking and writing along one dimension: index_select, index_add..., take, put."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from disttorch.autograd.inplace import refuse_shared
from disttorch.autograd.op import public
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.create import tensor
from disttorch.ops.index import IndexPut, IndexSelect, Take, put_indexed
from disttorch.ops.out import accepts_out
from disttorch.ops.shape import reshape
from disttorch.tensor import Tensor

__all__ = [
    *("index_add", "index_add_", "index_copy", "index_copy_", "index_fill", "index_fill_"),
    *("index_select", "take", "put", "put_"),
]

Array = Any


def along(dim: int) -> tuple[int | None, ...]:
    """Template of one index that picks from dimension `dim`."""
    return (None,) * dim + (0,)


def _check_vector(index: Any, name: str) -> None:
    if not isinstance(index, Tensor):
        raise TypeError(
            f"{name}(): argument 'index' (position 2) must be Tensor, not {type(index).__name__}"
        )
    array = index._array
    if array.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    if array.dtype.kind != "i" or array.itemsize < 4:
        text = f"{name}(): Expected dtype int32 or int64 for index"
        if name == "index_add_":
            kind = TYPE_NAMES[index.dtype]
            text = f"{name}(): Expected dtype int32/int64 for index but got: {kind}"
        raise RuntimeError(text)


@public(method=True)
@functools.partial(
    accepts_out,
    casts="index_select(): self and result must have the same scalar type",
    shares=False,
)
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Positions `index` (1-D) of dimension `dim`; IndexError for one out of range or negative."""
    d = input._dim(dim)
    _check_vector(index, "index_select")
    shape = input._array.shape
    if input.backend.first_outside(index._array, 0, shape[d] if shape else 1) is not None:
        raise IndexError("index out of range in self")
    if not shape:
        return reshape(IndexSelect.apply(reshape(input, (1,)), index, template=along(0)), ())
    vector = index if index._array.ndim else reshape(index, (-1,))
    return IndexSelect.apply(input, vector, template=along(d))


class IndexAdd(IndexPut):
    """x with slices of y added at some positions of one dimension."""

    torch_name = "IndexAddBackward0"


class IndexCopy(IndexPut):
    """x with slices of y written to some positions of one dimension."""

    torch_name = "IndexCopyBackward0"


class IndexFill(IndexPut):
    """x with a number written to some positions of one dimension."""

    torch_name = "IndexFillBackward0"


def _check_positions(
    input: Tensor, d: int, index: Tensor, error: type[Exception], text: str
) -> None:
    n = input._array.shape[d] if input.ndim else 1
    wrong = input.backend.first_outside(index._array, -n if "fill" in text else 0, n)
    if wrong is not None:
        prefix = "" if "fill" in text else text
        raise error(f"{prefix}index {wrong} is out of bounds for dimension {d} with size {n}")


def check_source(input: Tensor, d: int, index: Tensor, source: Tensor, name: str) -> None:
    """Raise if the source has not one slice an index, or another dtype."""
    n = source.shape[d] if source.ndim else 1
    if index.numel() != n:
        raise RuntimeError(
            f"{name}: Number of indices ({index.numel()}) should be equal to source.size(dim): "
            f"({n}), for dim: {d}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: self ({TYPE_NAMES[input.dtype]}) and source "
            f"({TYPE_NAMES[source.dtype]}) must have the same scalar type"
        )


def check_slices(input: Tensor, d: int, source: Tensor) -> None:
    """Raise if source and input differ in another dimension than `d`."""
    mine, other = list(input.shape), list(source.shape)
    if mine[:d] + mine[d + 1 :] != other[:d] + other[d + 1 :] or len(mine) != len(other):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            f"Got self.shape = {mine} source.shape = {other}"
        )


def _one_dim(input: Tensor, value: Any) -> tuple[Tensor, Any]:
    """View 0-d tensors as vectors, which is how these operators read them."""
    if isinstance(value, Tensor) and not value.ndim:
        value = reshape(value, (1,))
    return (input if input.ndim else reshape(input, (1,))), value


def _write(
    op: type[IndexPut], input: Tensor, d: int, index: Tensor, value: Any, inplace: bool
) -> Tensor:
    target, value = _one_dim(input, value)
    vector = reshape(index, (-1,)) if index.ndim == 0 else index
    result = put_indexed(
        op, target, value, [vector], along(d), accumulate=op is IndexAdd, inplace=inplace
    )
    return input if inplace else reshape(result, input.shape) if not input.ndim else result


def _add(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    *,
    alpha: float = 1,
    inplace: bool = False,
) -> Tensor:
    d = input._dim(dim)
    _check_vector(index, "index_add_")
    check_source(input, d, index, source, "index_add_()")
    _check_positions(input, d, index, RuntimeError, "")
    check_slices(input, d, source)
    scaled = source if alpha == 1 else source * alpha
    return _write(IndexAdd, input, d, index, scaled, inplace)


def _check_copied(input: Tensor, d: int, index: Tensor, source: Any, name: str) -> None:
    """Raise, with PyTorch's texts, unless `source` has one slice of `input` for each index."""
    for position, argument, given in ((2, "index", index), (3, "source", source)):
        if not isinstance(given, Tensor):
            kind = type(given).__name__
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {kind}"
            )
    if index.ndim > 1:
        raise IndexError(f"index_copy_(): Index should have dimension 1 or 0 (got {index.ndim})")
    if source.ndim and input.ndim and source.ndim != input.ndim:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality must "
            f"match. Source dimensionality ({source.ndim}), destination dimensionality "
            f"({input.ndim})"
        )
    if not source.ndim and index.numel() != 1:
        raise IndexError(
            "index_copy_(): When source is scalar, index should have one element (got "
            f"{index.numel()})"
        )
    if index.dtype.name != "int64":
        kind = TYPE_NAMES[index.dtype]
        raise RuntimeError(f"index_copy_(): Expected a long tensor for index, but got {kind}")
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{TYPE_NAMES[input.dtype]} and (source) {TYPE_NAMES[source.dtype]}"
        )
    mine, other = [[*t.shape[:d], *t.shape[d + 1 :]] for t in (input, source)]
    if mine != other:
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination "
            f"slice shape: {_spelled(mine)} at dimension {d} and source slice shape: "
            f"{_spelled(other)} at dimension 0."
        )
    n = source.shape[d] if source.ndim else 1
    if index.numel() != n:
        raise IndexError(
            f"index_copy_(): Number of indices ({index.numel()}) should be equal to "
            f"source.size(dim) ({n})"
        )


def _spelled(shape: list[int]) -> str:
    return " ".join(map(str, shape))


def _copy(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, inplace: bool = False
) -> Tensor:
    d = input._dim(dim)
    _check_copied(input, d, index, source, "index_copy_" if inplace else "index_copy")
    _check_positions(input, d, index, IndexError, "index_copy_(): ")
    return _write(IndexCopy, input, d, index, source, inplace)


def _fill(input: Tensor, dim: int, index: Tensor, value: Any, *, inplace: bool = False) -> Tensor:
    d = input._dim(dim)
    _check_vector(index, "index_fill_")
    _check_positions(input, d, index, IndexError, "index_fill_(): ")
    if not isinstance(value, Tensor):
        value = tensor(value, dtype=input.dtype, device=input.device)
    elif value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    # A position given twice is written once: the number's gradient must not count it twice.
    once = Tensor._wrap(input.backend.xp.unique(index._array))
    return _write(IndexFill, input, d, once, value, inplace)


def two_forms(
    name: str, compute: Callable[..., Tensor], doc: str, *, out: bool = True
) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Publish ``name`` and ``name_`` of a function with the keyword `inplace`.

    `out`: whether the former takes an `out` of the result's dtype.
    """

    def out_of_place(input: Tensor, *args: Any, **keywords: Any) -> Tensor:
        return compute(input, *args, **keywords)

    def in_place(input: Tensor, *args: Any, **keywords: Any) -> Tensor:
        if not name.startswith("masked"):
            refuse_shared(input, (*args, *keywords.values()))
        return compute(input, *args, **keywords, inplace=True)

    for function, spelled in ((out_of_place, name), (in_place, f"{name}_")):
        function.__name__ = function.__qualname__ = spelled
    out_of_place.__doc__ = doc
    in_place.__doc__ = f"In-place version of `{name}`."
    if out:
        out_of_place = accepts_out(out_of_place, casts=False)
    return public(method=True)(out_of_place), public(method=True, function=False)(in_place)


index_add, index_add_ = two_forms(
    "index_add",
    _add,
    "``(input, dim, index, source, *, alpha=1)``: add ``alpha * source`` at positions of `dim`.",
)
index_copy, index_copy_ = two_forms(
    "index_copy", _copy, "``(input, dim, index, source)``: write `source` at positions of `dim`."
)
index_fill, index_fill_ = two_forms(
    "index_fill", _fill, "``(input, dim, index, value)``: write a number at positions of `dim`."
)


# ---- take and put --------------------------------------------------------------------------------


@public(method=True)
@functools.partial(
    accepts_out,
    casts="take(): self and out expected to have the same dtype, but got self.dtype = {result} and "
    "out.dtype = {out}",
    shares=False,
)
def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements of the flattened tensor at `index`; IndexError for one out of range."""
    if index.dtype.name != "int64":
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {TYPE_NAMES[index.dtype]}"
        )
    _check_flat(input, index)
    return Take.apply(reshape(input, (-1,)), index, template=along(0))


def _check_flat(input: Tensor, index: Tensor) -> None:
    n = input.numel()
    wrong = input.backend.first_outside(index._array, -n, n)
    if wrong is not None:
        raise IndexError(
            f"out of range: tried to access index {wrong} on a tensor of {n} elements."
        )


def _put(
    input: Tensor,
    index: Tensor,
    source: Tensor,
    accumulate: bool = False,
    *,
    inplace: bool = False,
) -> Tensor:
    _check_flat(input, index)
    if index.numel() != source.numel():
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.numel()}, index.numel() = {index.numel()}"
        )
    flat = reshape(input, (-1,))
    values = reshape(source, index.shape)
    written = put_indexed(IndexPut, flat, values, [index], along(0), accumulate=accumulate)
    result = reshape(written, input.shape)
    return input.copy_(result) if inplace else result


put, put_ = two_forms(
    "put", _put, "``(input, index, source, accumulate=False)``: write into the flattened tensor."
)
