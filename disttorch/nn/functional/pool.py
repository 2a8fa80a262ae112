"""Pooling: the operators, with the `return_indices` argument of PyTorch's functionals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.ops import pool, pool_adaptive
from disttorch.ops.pool_check import Ints
from disttorch.tensor import Tensor


def _max_pool(n: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make ``max_pool{n}d`` and ``max_pool{n}d_with_indices``."""
    plain = getattr(pool, f"max_pool{n}d")
    indexed = getattr(pool, f"max_pool{n}d_with_indices")

    def max_pool(
        input: Tensor,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        function = indexed if return_indices else plain
        return function(input, kernel_size, stride, padding, dilation, ceil_mode)

    def with_indices(*args: Any, return_indices: bool = True, **keywords: Any) -> Any:
        return indexed(*args, **keywords)

    max_pool.__name__ = max_pool.__qualname__ = f"max_pool{n}d"
    max_pool.__doc__ = f"{plain.__doc__}\n\nWith `return_indices` also where they are, int64."
    with_indices.__name__ = with_indices.__qualname__ = f"max_pool{n}d_with_indices"
    with_indices.__doc__ = indexed.__doc__
    return max_pool, with_indices


max_pool1d, max_pool1d_with_indices = _max_pool(1)
max_pool2d, max_pool2d_with_indices = _max_pool(2)
max_pool3d, max_pool3d_with_indices = _max_pool(3)


def _adaptive_max_pool(n: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make ``adaptive_max_pool{n}d`` and its form with indices."""
    indexed = getattr(pool_adaptive, f"adaptive_max_pool{n}d")

    def adaptive_max_pool(
        input: Tensor, output_size: pool_adaptive.OutputSize, return_indices: bool = False
    ) -> Any:
        values, indices = indexed(input, output_size)
        return (values, indices) if return_indices else values

    def with_indices(
        input: Tensor, output_size: pool_adaptive.OutputSize, return_indices: bool = True
    ) -> tuple[Tensor, Tensor]:
        return indexed(input, output_size)

    name = f"adaptive_max_pool{n}d"
    adaptive_max_pool.__name__ = adaptive_max_pool.__qualname__ = name
    adaptive_max_pool.__doc__ = (
        f"Maximum of input ([N,] C, *S) over a grid of `output_size` cells, {n}-d.\n\n"
        "With `return_indices` also its position in the flattened image, int64."
    )
    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = indexed.__doc__
    return adaptive_max_pool, with_indices


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _adaptive_max_pool(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _adaptive_max_pool(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _adaptive_max_pool(3)
