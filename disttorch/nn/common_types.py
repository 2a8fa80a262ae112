"""Type aliases of arguments that are one value, or one for each dimension; PyTorch's names."""

from __future__ import annotations

from typing import Any

from disttorch.tensor import Tensor


def _one_or(kind: Any, n: int | None) -> Any:
    """`kind`, or a tuple of `n` of them (any number for None)."""
    several = tuple[kind, ...] if n is None else tuple[(kind,) * n]  # type: ignore[misc]
    return kind | several


_size_any_t = _one_or(int, None)
_size_1_t, _size_2_t, _size_3_t, _size_4_t, _size_5_t, _size_6_t = (
    _one_or(int, n) for n in range(1, 7)
)
_size_any_opt_t = _one_or(int | None, None)
_size_2_opt_t, _size_3_opt_t = (_one_or(int | None, n) for n in (2, 3))
_ratio_any_t = _one_or(float, None)
_ratio_2_t, _ratio_3_t = (_one_or(float, n) for n in (2, 3))
_tensor_list_t = _one_or(Tensor, None)
_maybe_indices_t = _one_or(Tensor, 2)
