"""`make_tensor`: random tensors for tests, the same as PyTorch's for the same seed."""

from __future__ import annotations

import math
import warnings
from typing import Any

from disttorch.dtype import dtype as DType
from disttorch.dtype import finfo, iinfo
from disttorch.ops.cast_complex import view_as_real
from disttorch.ops.create_fill import empty
from disttorch.ops.create_random import randint
from disttorch.tensor import Tensor

__all__ = ["make_tensor"]


def make_tensor(
    *shape: Any,
    dtype: DType,
    device: Any,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Random numbers in [low, high): by default -9 to 9, for integers to 10, for bools all.

    `noncontiguous`: every other element of twice the memory; `exclude_zero`: zeros become the
    smallest positive number. Raises ValueError for empty intervals, those outside of `dtype`,
    integers that require grad, and `noncontiguous` together with a `memory_format`
    (https://docs.pytorch.org/docs/stable/testing.html).
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually exclusive, "
            f"but got {noncontiguous=} and {memory_format=}"
        )
    real = dtype.is_floating_point or dtype.is_complex
    if requires_grad and not real:
        raise ValueError(
            "`requires_grad=True` is not supported for boolean and integral dtypes, "
            f"but got {dtype=}"
        )
    noncontiguous = noncontiguous and math.prod(sizes) > 1
    if noncontiguous:
        sizes = (*sizes[:-1], 2 * sizes[-1])
    start, end = _interval(low, high, dtype)
    if not real:
        bounds = (math.ceil(start), math.ceil(end))
        result: Tensor = randint(*bounds, sizes, device=device, dtype=dtype)
    else:
        result = empty(sizes, device=device, dtype=dtype)
        _fill_uniform(view_as_real(result) if dtype.is_complex else result, start, end)
    if noncontiguous:
        result = result[..., 1::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        result[result == 0] = finfo(dtype).tiny if real else 1
    return result.requires_grad_() if requires_grad else result


def _fill_uniform(tensor: Tensor, low: float, high: float) -> None:
    """Fill in place; intervals wider than the dtype's largest number are drawn at half the size."""
    if high - low >= finfo(tensor.dtype).max:
        tensor.uniform_(low / 2, high / 2).mul_(2)
    else:
        tensor.uniform_(low, high)


def _interval(low: float | None, high: float | None, dtype: DType) -> tuple[float, float]:
    """The bounds, with their defaults, checked and limited to what the dtype holds."""
    real = dtype.is_floating_point or dtype.is_complex
    least, most = _limits(dtype)
    is_bool = str(dtype) == "torch.bool"
    low = (0 if is_bool else -9) if low is None else low
    high = (2 if is_bool else 9 if real else 10) if high is None else high
    if any(math.isnan(bound) for bound in (low, high)):
        raise ValueError(f"`low` and `high` cannot be NaN, but got {low=} and {high=}")
    if low == high and real:
        warnings.warn(
            "Passing `low==high` to `torch.testing.make_tensor` for floating or complex types "
            "is deprecated since 2.1 and will be removed in 2.3. "
            "Use `torch.full(...)` instead.",
            FutureWarning,
            stacklevel=3,
        )
    elif low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    elif high < least or low >= most:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{low}, {high}), "
            f"but {dtype} only supports [{least}, {most})"
        )
    return min(max(low, least), most), min(max(high, least), most)


def _limits(dtype: DType) -> tuple[float, float]:
    """The least number of a dtype, and the bound that its random numbers stay below."""
    if dtype.is_floating_point or dtype.is_complex:
        return finfo(dtype).min, finfo(dtype).max
    if str(dtype) == "torch.bool":
        return 0, 2
    limits = iinfo(dtype)
    # The widest interval of `randint` is that of 64-bit integers.
    return limits.min, limits.max + (limits.bits < 64)
