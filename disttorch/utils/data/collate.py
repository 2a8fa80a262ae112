"""Making a batch of samples: tensors stacked, structures kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from disttorch.dtype import float64
from disttorch.ops.create import as_tensor, tensor
from disttorch.ops.join import stack
from disttorch.tensor import Tensor

_BAD_TYPE = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)
_NO_STRINGS = re.compile(r"[SaUO]")

Collate = Callable[..., Any]


def default_convert(data: Any) -> Any:
    """Turn arrays and NumPy scalars within a sample into tensors; structures are kept."""
    if isinstance(data, (Tensor, str, bytes)):
        return data
    if hasattr(data, "__array__") and hasattr(data, "dtype"):
        return data if _NO_STRINGS.search(data.dtype.str) else as_tensor(data)
    return _map_structure(data, default_convert)


def _map_structure(data: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(data, Mapping):
        return _rebuild_mapping(data, {k: function(v) for k, v in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(function(d) for d in data))
    if isinstance(data, tuple):
        return [function(d) for d in data]
    if isinstance(data, Sequence):
        return [function(d) for d in data]
    return data


def _rebuild_mapping(like: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """A mapping of the type of `like`; a dict where that type cannot be made from a dict."""
    try:
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def collate(batch: list[Any], *, collate_fn_map: Mapping[Any, Collate] | None = None) -> Any:
    """Collate by the type of the first sample, looking it up in `collate_fn_map` first.

    Raises RuntimeError for sequences of unequal length and TypeError, with PyTorch's text, for a
    type nothing is known about.
    """
    first = batch[0]
    table = collate_fn_map or {}
    for kind, function in table.items():
        if isinstance(first, kind):
            return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        merged = {
            key: collate([d[key] for d in batch], collate_fn_map=collate_fn_map) for key in first
        }
        return _rebuild_mapping(first, merged)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        columns = zip(*batch, strict=True)
        return type(first)(*(collate(list(c), collate_fn_map=collate_fn_map) for c in columns))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = zip(*batch, strict=True)
        return [collate(list(c), collate_fn_map=collate_fn_map) for c in columns]
    raise TypeError(_BAD_TYPE.format(type(first)))


def _collate_tensors(batch: list[Tensor], *, collate_fn_map: Any = None) -> Tensor:
    return stack(batch, 0)


def _collate_arrays(batch: list[Any], *, collate_fn_map: Any = None) -> Any:
    if _NO_STRINGS.search(batch[0].dtype.str):
        raise TypeError(_BAD_TYPE.format(batch[0].dtype))
    return stack([as_tensor(a) for a in batch], 0)


def _collate_floats(batch: list[float], *, collate_fn_map: Any = None) -> Tensor:
    return tensor(batch, dtype=float64)


def _collate_numbers(batch: list[Any], *, collate_fn_map: Any = None) -> Tensor:
    return tensor(batch)


def _keep(batch: list[Any], *, collate_fn_map: Any = None) -> list[Any]:
    return batch


def _array_types() -> tuple[type, ...]:
    from disttorch.backends.cpu.numpy_backend import CPU  # noqa: PLC0415 - one name for a table

    return (CPU.array_type, CPU.xp.generic)


_NDARRAY, _GENERIC = _array_types()

default_collate_fn_map: dict[Any, Collate] = {
    Tensor: _collate_tensors,
    _NDARRAY: _collate_arrays,
    (bool, _GENERIC): _collate_numbers,
    float: _collate_floats,
    int: _collate_numbers,
    (str, bytes): _keep,
}


def default_collate(batch: list[Any]) -> Any:
    """Stack the tensors, arrays and numbers of samples; mappings and sequences keep their form.

    Python floats become float64, ints int64, strings stay lists
    (https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.default_collate).
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
