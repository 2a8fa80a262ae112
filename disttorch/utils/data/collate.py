"""Making a batch of samples: tensors stacked, structures kept."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from disttorch.dtype import float64
from disttorch.ops.create import as_tensor, tensor
from disttorch.ops.join import stack
from disttorch.tensor import Tensor

BAD_TYPE = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)
NO_NUMBERS = re.compile(r"[SaUO]")

# NumPy spends half a microsecond on each array that it joins; bytes are joined without.
_JOINED_NBYTES = 16 << 10

Collate = Callable[..., Any]


def default_convert(data: Any) -> Any:
    """Turn arrays and NumPy scalars within a sample into tensors; structures are kept."""
    if isinstance(data, (Tensor, str, bytes)):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        return data if NO_NUMBERS.search(data.dtype.str) else as_tensor(data)
    if isinstance(data, Mapping):
        return rebuild_mapping(data, {k: default_convert(data[k]) for k in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(d) for d in data))
    if isinstance(data, Sequence):
        return rebuild_sequence(data, [default_convert(d) for d in data])
    return data


def rebuild_mapping(like: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """A mapping like `like` with these items; a dict where its type cannot be made so."""
    try:
        if isinstance(like, MutableMapping):
            clone = copy.copy(like)  # keeps what a type has beside its items
            clone.update(items)
            return clone
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def rebuild_sequence(like: Sequence[Any], items: list[Any]) -> Any:
    """A sequence like `like` with these items; a list for tuples, and where it cannot be made."""
    if type(like) is list or isinstance(like, tuple):
        return items
    try:
        if isinstance(like, MutableSequence):
            clone = copy.copy(like)
            for i, item in enumerate(items):
                clone[i] = item
            return clone
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def collate(batch: Sequence[Any], *, collate_fn_map: Mapping[Any, Collate] | None = None) -> Any:
    """Collate by the type of the first sample, looking it up in `collate_fn_map` first.

    Raises RuntimeError for sequences of unequal length and TypeError, with PyTorch's text, for a
    type nothing is known about.
    """
    first = batch[0]
    table = collate_fn_map or {}
    if type(first) in table:
        return table[type(first)](batch, collate_fn_map=collate_fn_map)
    for kind, function in table.items():
        if isinstance(first, kind):
            return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        columns = {k: collate([d[k] for d in batch], collate_fn_map=collate_fn_map) for k in first}
        return rebuild_mapping(first, columns)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        transposed = zip(*batch, strict=False)
        return type(first)(*(collate(c, collate_fn_map=collate_fn_map) for c in transposed))
    if isinstance(first, Sequence):
        if [len(sample) for sample in batch].count(len(first)) < len(batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        transposed = zip(*batch, strict=True)
        parts = [collate(c, collate_fn_map=collate_fn_map) for c in transposed]
        return rebuild_sequence(first, parts)
    raise TypeError(BAD_TYPE.format(type(first)))


def stack_arrays(rows: Sequence[Any], out: np.ndarray | None = None) -> np.ndarray | None:
    """Stack NumPy arrays, into `out` if given; None unless all have one shape and dtype."""
    first = rows[0]
    if type(first) is not np.ndarray:
        return None
    n, shape, dtype = len(rows), first.shape, first.dtype
    # Lists counted: twice as fast as a loop that compares.
    if [row.shape for row in rows].count(shape) < n or [row.dtype for row in rows].count(dtype) < n:
        return None
    if first.nbytes <= _JOINED_NBYTES and dtype.kind in "biufc" and all_contiguous(rows):
        if out is None:
            return np.frombuffer(bytearray().join(rows), dtype).reshape(n, *shape)
        if out.flags.c_contiguous:
            memoryview(out.reshape(-1).view(np.uint8))[:] = b"".join(rows)
            return out
    if out is None:
        out = np.empty((n, *shape), dtype)
    if shape:
        # The rows one after another: joining along an axis they have spares a view of each.
        np.concatenate(rows, 0, out.reshape(n * shape[0], *shape[1:]))
    else:
        out[...] = [row[()] for row in rows]
    return out


def all_contiguous(rows: Sequence[np.ndarray]) -> bool:
    """Whether the bytes of each array are one after the other."""
    return False not in [row.flags.c_contiguous for row in rows]


def collate_tensor_fn(batch: Sequence[Tensor], *, collate_fn_map: Any = None) -> Tensor:
    """Stack tensors of one shape; RuntimeError for unequal ones."""
    if True not in [t._requires_grad for t in batch]:
        stacked = stack_arrays([t._array for t in batch])
        if stacked is not None:
            return Tensor._wrap(stacked)
    return stack(batch, 0)


def collate_numpy_array_fn(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Any:
    """Stack arrays; TypeError for those of strings or objects."""
    if NO_NUMBERS.search(batch[0].dtype.str):
        raise TypeError(BAD_TYPE.format(batch[0].dtype))
    return collate([as_tensor(a) for a in batch], collate_fn_map=collate_fn_map)


def collate_float_fn(batch: Sequence[float], *, collate_fn_map: Any = None) -> Tensor:
    """Put Python floats into a float64 tensor."""
    return tensor(batch, dtype=float64)


def collate_int_fn(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Tensor:
    """Put numbers into a tensor."""
    if set(map(type, batch)) == {int}:
        try:
            return Tensor._wrap(np.array(batch, np.int64))
        except OverflowError:
            pass  # raised again below, in PyTorch's words
    return tensor(batch)


collate_numpy_scalar_fn = collate_int_fn


def collate_str_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Keep a batch of strings as it is."""
    return batch


default_collate_fn_map: dict[Any, Collate] = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_int_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}
_BUILT_IN = dict(default_collate_fn_map)


def is_table_untouched() -> bool:
    """Whether `default_collate_fn_map` is as it was made: users may extend it."""
    return default_collate_fn_map == _BUILT_IN


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack the tensors, arrays and numbers of samples; mappings and sequences keep their form.

    Python floats become float64, ints int64, strings stay as they are
    (https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.default_collate).
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
