"""Reading an index expression: what is a view, and what picks elements from it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from disttorch.ops.create import tensor
from disttorch.tensor import Tensor

_LEGACY_SEQUENCE = (
    "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in "
    "pytorch 2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as "
    "tensor index, x[torch.tensor(seq)], which will result either in an error or a different result"
)
_ZERO_DIM = (
    "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ "
    "to convert a 0-dim tensor to a number"
)


@dataclass(slots=True)
class Parsed:
    """An index in two stages; None where a stage has nothing to do.

    `basic`: ints, slices, None and one Ellipsis, for a view. `template`: for each dimension of that
    view (a mask counts as one entry) the number of the tensor in `indices` that picks from it, or
    None; it ends with the last tensor.
    """

    basic: tuple[Any, ...] | None = None
    template: tuple[int | None, ...] | None = None
    indices: list[Tensor] = field(default_factory=list)


def parse(input: Tensor, index: Any, select: bool = True) -> Parsed:
    """Read an index of `input`; IndexError, TypeError or ValueError with PyTorch's texts.

    `select` False keeps 0-d integer tensors as tensors instead of reading them as ints.
    """
    if type(index) is slice:
        return Parsed(basic=(_checked_slice(index, input, 0), Ellipsis))
    if type(index) is tuple:
        plain = plain_index(index, input._array.shape)
        if plain is not None:
            return Parsed(basic=plain)
    if isinstance(index, Tensor) and picks_first(index._array, input._array.shape):
        return Parsed(template=(0,), indices=[index])
    items = index if isinstance(index, tuple) else _as_tuple(index)
    items = tuple([_as_item(i, select) for i in items])
    shape = input._array.shape
    used = sum(map(_consumes, items))
    if used > len(shape):
        if not shape and not isinstance(index, tuple):
            raise IndexError(_ZERO_DIM)
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    return _Reader(input, len(shape) - used).read(items)


def plain_index(index: tuple[Any, ...], shape: Sequence[int]) -> tuple[Any, ...] | None:
    """Read the usual case quickly, all but tensors and bools; None for those or out of range."""
    d, ndim, is_open = 0, len(shape), True
    for k, item in enumerate(index):
        kind = type(item)
        if kind is int:
            if d >= ndim or not -shape[d] <= item < shape[d]:
                return None
            d += 1
        elif kind is slice:
            start, stop, step = item.start, item.stop, item.step
            if d >= ndim or step not in _STEPS:
                return None
            if type(start) not in _BOUND or type(stop) not in _BOUND:
                return None
            d += 1
        elif item is Ellipsis and is_open:
            is_open = False
            behind = ndim - len([i for i in index[k + 1 :] if i is not None])
            if behind < d:
                return None
            d = behind
        elif item is not None:
            return None
    return (*index, Ellipsis) if is_open else index


def picks_first(index: Any, shape: tuple[int, ...]) -> bool:
    """Whether an index array picks from the first dimension, or a mask from the first ones."""
    kind, n = index.dtype.kind, index.ndim
    if not n or not shape:
        return False
    return (kind == "i" and index.itemsize >= 4) or (kind == "b" and index.shape == shape[:n])


_BOUND = (int, type(None))
_STEPS = (None, 1, 2)


def _as_tuple(index: Any) -> tuple[Any, ...]:
    """Make a tuple of an index that is none; short lists of slices or lists are read as tuples."""
    if isinstance(index, list) and len(index) < 32:
        if any(
            i is None or isinstance(i, (slice, list, tuple, Tensor)) or i is Ellipsis for i in index
        ):
            warnings.warn(_LEGACY_SEQUENCE, UserWarning, stacklevel=5)
            return tuple(index)
    return (index,)


def _as_item(item: Any, select: bool) -> Any:
    """Normalise one item: int, bool, slice, None, Ellipsis, or a Tensor."""
    if item is None or item is Ellipsis or isinstance(item, (bool, int, slice)):
        return item
    if isinstance(item, Tensor):
        if item.ndim == 0 and select:
            kind = item._array.dtype.kind
            if kind == "b":
                return bool(item)
            if kind in "iu":
                return int(item)
        return _index_tensor(item)
    if getattr(item, "ndim", None) == 0 and getattr(item, "dtype", None) is not None:
        return bool(item) if item.dtype.kind == "b" else item.__index__()
    if hasattr(item, "__array__") or isinstance(item, Sequence):
        made = tensor(item)
        return _index_tensor(made.long() if made.numel() == 0 else made)
    if hasattr(item, "__index__"):
        return item.__index__()
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
        f"indices (got {type(item).__name__})"
    )


def _index_tensor(item: Tensor) -> Tensor:
    """Check the dtype of an index tensor; uint8 ones are masks."""
    dtype = item._array.dtype
    if dtype.kind == "u" and dtype.itemsize == 1:
        warnings.warn(
            "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool "
            "instead.",
            UserWarning,
            stacklevel=6,
        )
        return item.bool()
    if dtype.kind not in "bi" or (dtype.kind == "i" and dtype.itemsize < 4):
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return item


def _consumes(item: Any) -> int:
    """Number of dimensions of the tensor that an item indexes."""
    if isinstance(item, Tensor):
        return item.ndim if item._array.dtype.kind == "b" else 1
    return 0 if item is None or item is Ellipsis or item is True or item is False else 1


def _checked_slice(item: slice, input: Tensor, dim: int) -> slice:
    """Make a slice's bounds ints; ValueError for a step below 1."""
    shape = input._array.shape
    if not shape:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    if item.step is not None and item.step.__index__() <= 0:
        text = "step must be greater than zero" if item.step else "slice step cannot be zero"
        raise ValueError(text)
    start, stop, step = item.indices(shape[dim])
    return slice(start, max(stop, start), step)


class _Reader:
    """Walks over the items, with its place in the tensor (`dim`)."""

    def __init__(self, input: Tensor, skipped: int) -> None:
        self.input = input
        self.skipped = skipped  # dimensions that the Ellipsis stands for
        self.dim = 0
        self.basic: list[Any] = []
        self.template: list[int | None] = []
        self.indices: list[Tensor] = []
        self.view_shape: list[int] = []
        self.is_view = False

    def read(self, items: tuple[Any, ...]) -> Parsed:
        seen = False
        for item in items:
            if item is Ellipsis:
                if seen:
                    raise IndexError("an index can only have a single ellipsis ('...')")
                seen = True
                self._ellipsis()
            else:
                self._item(item)
        if not seen:
            self.basic.append(Ellipsis)
            self.view_shape.extend(self.input._array.shape[self.dim :])
        self._check_masks()
        parsed = Parsed()
        if self.is_view or not self.indices:
            parsed.basic = tuple(self.basic)
        if self.indices:
            while self.template[-1] is None:
                self.template.pop()
            parsed.template, parsed.indices = tuple(self.template), self.indices
        return parsed

    def _ellipsis(self) -> None:
        self.basic.append(Ellipsis)
        self.view_shape.extend(self.input._array.shape[self.dim : self.dim + self.skipped])
        self.dim += self.skipped
        self.template.extend([None] * self.skipped)

    def _item(self, item: Any) -> None:
        if item is None:
            self._new_dimension()
            self.template.append(None)
        elif item is True or item is False:
            # A new dimension of which all or nothing is picked.
            self._new_dimension()
            picked = self.input.backend.xp.zeros(int(item), "int64")
            self._pick(Tensor._wrap(picked))
        elif isinstance(item, Tensor):
            n = _consumes(item)
            self.basic.extend([slice(None)] * n)
            self.view_shape.extend(self.input._array.shape[self.dim : self.dim + n])
            self.dim += n
            self._pick(item)
        elif isinstance(item, slice):
            part = _checked_slice(item, self.input, self.dim)
            n = self.input._array.shape[self.dim]
            self.is_view = self.is_view or (part.start, part.stop, part.step) != (0, n, 1)
            self.basic.append(part)
            self.view_shape.append(len(range(part.start, part.stop, part.step)))
            self.template.append(None)
            self.dim += 1
        else:
            self._select(item)

    def _new_dimension(self) -> None:
        self.basic.append(None)
        self.view_shape.append(1)
        self.is_view = True

    def _pick(self, index: Tensor) -> None:
        self.template.append(len(self.indices))
        self.indices.append(index)

    def _select(self, i: int) -> None:
        n = self.input._array.shape[self.dim]
        if not -n <= i < n:
            raise IndexError(f"index {i} is out of bounds for dimension {self.dim} with size {n}")
        self.basic.append(i)
        self.is_view = True
        self.dim += 1

    def _check_masks(self) -> None:
        """Raise if a mask has not the shape of what it picks from."""
        d = 0
        for k in self.template:
            mask = None if k is None else self.indices[k]
            if mask is None or mask._array.dtype.kind != "b":
                d += 1
                continue
            for j, n in enumerate(mask._array.shape):
                if self.view_shape[d + j] != n:
                    raise IndexError(
                        f"The shape of the mask {list(mask.shape)} at index {j} does not match the "
                        f"shape of the indexed tensor {self.view_shape} at index {d + j}"
                    )
            d += mask.ndim
