"""When a value of ours agrees with PyTorch's: kind, dtype, shape, numbers, and what is a view."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import disttorch
from tests.parity.convert import to_numpy

# Relative to each value, and to the largest value of the tensor: rounding in a sum grows with its
# terms, not with what is left of them.
_TOLERANCES = {
    "float64": 1e-7,
    "complex128": 1e-7,
    "float32": 2e-5,
    "complex64": 2e-5,
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
}


class Disagreement(AssertionError):
    """Something differs from PyTorch."""


def agree(given: Any, wanted: Any, *, what: str = "result", metadata_only: bool = False) -> None:
    """Raise `Disagreement` unless a nested value of ours equals PyTorch's."""
    if isinstance(wanted, torch.Tensor):
        _agree_tensor(given, wanted, what, metadata_only)
    elif isinstance(wanted, (tuple, list)):
        if not isinstance(given, (tuple, list)) or len(given) != len(wanted):
            raise Disagreement(f"{what}: {_kind(given)} instead of {_kind(wanted)}")
        for k, (g, w) in enumerate(zip(given, wanted, strict=True)):
            agree(g, w, what=f"{what}[{k}]", metadata_only=metadata_only)
    elif isinstance(wanted, np.ndarray):
        if given.shape != wanted.shape or not np.allclose(given, wanted, equal_nan=True):
            raise Disagreement(f"{what}: {given} instead of {wanted}")
    elif isinstance(wanted, (bool, int, float, complex)):
        if type(given) is not type(wanted) or not np.allclose(given, wanted, equal_nan=True):
            raise Disagreement(f"{what}: {given!r} instead of {wanted!r}")
    elif isinstance(wanted, torch.dtype):
        if str(given) != str(wanted):
            raise Disagreement(f"{what}: {given} instead of {wanted}")
    elif (wanted is None) != (given is None):
        raise Disagreement(f"{what}: {_kind(given)} instead of {_kind(wanted)}")


def _kind(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def _agree_tensor(given: Any, wanted: torch.Tensor, what: str, metadata_only: bool) -> None:
    if not isinstance(given, disttorch.Tensor):
        raise Disagreement(f"{what}: {_kind(given)} instead of a Tensor")
    if str(given.dtype) != str(wanted.dtype):
        raise Disagreement(f"{what}: {given.dtype} instead of {wanted.dtype}")
    if tuple(given.shape) != tuple(wanted.shape):
        raise Disagreement(f"{what}: shape {tuple(given.shape)} instead of {tuple(wanted.shape)}")
    if metadata_only:
        return
    mine, theirs = given.detach().resolve_conj()._array, to_numpy(wanted)
    tolerance = _TOLERANCES.get(str(wanted.dtype).removeprefix("torch."))
    if not _close(np.asarray(mine), theirs, tolerance):
        raise Disagreement(f"{what}: values differ: {_worst(np.asarray(mine), theirs)}")


# Where elements are equal, which of them PyTorch names depends on its algorithm: not on the values
# named. By operator, the position of `dim` among the arguments.
_TIES = {"sort": 0, "argsort": 0, "topk": 1, "kthvalue": 1}


def without_ties(name: str, sample: Any, given: Any, wanted: Any) -> tuple[Any, Any]:
    """Two results, with indices that ties leave open replaced by the elements they name."""
    if name not in _TIES:
        return given, wanted
    return _values_at(name, sample, given), _values_at(name, sample, wanted)


def _values_at(name: str, sample: Any, result: Any) -> Any:
    x, args = to_numpy(sample.input), sample.args
    dim = sample.kwargs.get("dim", args[_TIES[name]] if len(args) > _TIES[name] else -1)
    alone = isinstance(result, (torch.Tensor, disttorch.Tensor))
    indices = np.asarray((result if alone else result[1]).tolist(), np.int64)
    if x.ndim and x.size and isinstance(dim, int) and not isinstance(dim, bool):
        reduced = indices.ndim < x.ndim
        places = np.expand_dims(indices, dim) if reduced else indices
        named = np.take_along_axis(x, places, dim)
        indices = named.squeeze(dim) if reduced else named
    return [*([] if alone else [result[0]]), indices.astype(np.float64)]


def _close(mine: np.ndarray, theirs: np.ndarray, tolerance: float | None) -> bool:
    if tolerance is None:
        return np.array_equal(mine, theirs)
    wide = np.complex128 if theirs.dtype.kind == "c" else np.float64
    mine, theirs = mine.astype(wide), theirs.astype(wide)
    finite = np.abs(theirs[np.isfinite(theirs)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    return np.allclose(mine, theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _worst(mine: np.ndarray, theirs: np.ndarray) -> str:
    """The first place with the largest difference, and how many places differ."""
    with np.errstate(all="ignore"):
        differs = ~((mine == theirs) | (np.isnan(mine) & np.isnan(theirs)))
        kind = np.complex128 if theirs.dtype.kind == "c" else np.float64
        gap = np.abs(mine.astype(kind) - theirs.astype(kind))
    gap = np.where(np.isnan(gap) & differs, np.inf, np.nan_to_num(gap))
    at = np.unravel_index(int(gap.argmax()), gap.shape) if gap.ndim else ()
    place = list(map(int, at))
    many = f"{differs.sum()} of {differs.size}"
    return f"{many}, most at {place}: {mine[at]} instead of {theirs[at]}"


def agree_views(my_input: Any, given: Any, their_input: Any, wanted: Any) -> None:
    """Where PyTorch's result shares its input's memory ours does, with the same strides."""
    if not isinstance(wanted, torch.Tensor) or not isinstance(their_input, torch.Tensor):
        return
    if not wanted.numel() or not _share(wanted, their_input):
        return
    if not (np.shares_memory(given._array, my_input._array) or _share(given, my_input)):
        raise Disagreement("a copy, where PyTorch gives a view")
    sizes = [k for k, n in enumerate(wanted.shape) if n > 1]
    mine, theirs = [given.stride()[k] for k in sizes], [wanted.stride()[k] for k in sizes]
    if mine != theirs and given.dtype.itemsize == my_input.dtype.itemsize:
        raise Disagreement(f"strides {given.stride()} instead of {wanted.stride()}")


def _share(a: Any, b: Any) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
