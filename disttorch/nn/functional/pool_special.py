"""Pooling of other kinds: power averages, unpooling, windows at random places."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from disttorch.ops.activation import relu
from disttorch.ops.create_random import rand
from disttorch.ops.pool_average import avg_pool1d, avg_pool2d, avg_pool3d
from disttorch.ops.pool_check import Ints
from disttorch.ops.pool_unpool import FractionalMaxPool, max_unpool, window_starts
from disttorch.tensor import Tensor

_AVERAGES: dict[int, Callable[..., Any]] = {1: avg_pool1d, 2: avg_pool2d, 3: avg_pool3d}


def _per_dim(value: Any, n: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    return values * n if len(values) == 1 else values


def _lp_pool(n: int) -> Callable[..., Tensor]:
    """Make ``lp_pool{n}d``."""

    def lp_pool(
        input: Any,
        norm_type: float,
        kernel_size: Ints,
        stride: Ints | None = None,
        ceil_mode: bool = False,
    ) -> Tensor:
        kernel = _per_dim(kernel_size, n)
        mean = _AVERAGES[n](input.pow(norm_type), kernel, stride, 0, ceil_mode)
        return (mean.sign() * relu(mean.abs()) * math.prod(kernel)).pow(1.0 / norm_type)

    lp_pool.__name__ = lp_pool.__qualname__ = f"lp_pool{n}d"
    lp_pool.__doc__ = (
        f"The `norm_type`-norm of each window of input ([N,] C, *S), {n}-d.\n\nRuntimeError if the "
        "window does not fit the image."
    )
    return lp_pool


lp_pool1d, lp_pool2d, lp_pool3d = (_lp_pool(n) for n in (1, 2, 3))


def _unpooled_sizes(
    sizes: Sequence[int],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    wanted: Sequence[int] | None,
) -> tuple[int, ...]:
    """The image's sizes; ValueError for wanted ones that no pooling turns into `sizes`."""
    n = len(kernel)
    default = [
        (size - 1) * s + k - 2 * p
        for size, k, s, p in zip(sizes, kernel, stride, padding, strict=True)
    ]
    if wanted is None:
        return tuple(default)
    given = wanted[2:] if len(wanted) == n + 2 else wanted
    if len(given) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a "
            f"length of '{len(given)}'"
        )
    for d in range(n):
        low, high = default[d] - stride[d], default[d] + stride[d]
        if not low < given[d] < high:
            raise ValueError(
                f'invalid output_size "{given}" (dim {d} must be between {low} and {high})'
            )
    return tuple(given)


def _max_unpool(n: int) -> Callable[..., Tensor]:
    """Make ``max_unpool{n}d``."""

    def unpool(
        input: Any,
        indices: Any,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        output_size: Sequence[int] | None = None,
    ) -> Tensor:
        kernel = _per_dim(kernel_size, n)
        steps = kernel if stride is None else _per_dim(stride, n)
        pads = _per_dim(padding, n)
        sizes = _unpooled_sizes(input.shape[-n:], kernel, steps, pads, output_size)
        _check_unpool(n, input, indices)
        if input.ndim == n + 1:
            return max_unpool(input.unsqueeze(0), indices.unsqueeze(0), sizes).squeeze(0)
        return max_unpool(input, indices, sizes)

    unpool.__name__ = unpool.__qualname__ = f"max_unpool{n}d"
    unpool.__doc__ = (
        f"Put the maxima ([N,] C, *S) back at `indices`, zeros elsewhere, {n}-d.\n\nRuntimeError "
        "for indices that do not fit, ValueError for an impossible `output_size`."
    )
    return unpool


def _check_unpool(n: int, input: Tensor, indices: Tensor) -> None:
    if indices.dtype.name != "int64":
        raise RuntimeError(
            "elements in indices should be type int64 but got: "
            + {"int32": "Int", "float32": "Float"}.get(indices.dtype.name, indices.dtype.name)
        )
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(
            f"Input to max_unpooling{n}d should be a {n + 1}d or {n + 2}d Tensor, but got a tensor "
            f"with {input.ndim} dimensions."
        )
    if input.shape != indices.shape:
        row = [1] * (n == 1)  # one dimension counts as a row of an image
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({[*input.shape, *row]}) but got indices tensor with shape: {[*indices.shape, *row]}"
        )


max_unpool1d, max_unpool2d, max_unpool3d = (_max_unpool(n) for n in (1, 2, 3))


def _grid(name: str, input: Tensor, n: int, output_size: Any, output_ratio: Any) -> tuple[int, ...]:
    """Sizes of the output, from themselves or from a ratio."""
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is not None:
        return _per_dim(output_size, n)
    ratios = (output_ratio,) * n if isinstance(output_ratio, float) else tuple(output_ratio)
    return tuple(int(s * r) for s, r in zip(input.shape[-n:], ratios, strict=True))


def _fractional(n: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make ``fractional_max_pool{n}d`` and its form with indices."""
    name = f"fractional_max_pool{n}d"

    def with_indices(
        input: Any,
        kernel_size: Ints,
        output_size: Ints | None = None,
        output_ratio: Any = None,
        return_indices: bool = True,
        _random_samples: Any = None,
    ) -> tuple[Tensor, Tensor]:
        kernel = _per_dim(kernel_size, n)
        out = _grid(name, input, n, output_size, output_ratio)
        batched = input.ndim == n + 2
        x = input if batched else input.unsqueeze(0)
        _check_fits(name, x, kernel, out)
        samples = _random_samples
        if samples is None:
            samples = rand(*x.shape[:2], n, dtype=x.dtype, device=x.device)
        starts = []
        for dim in range(n):
            # PyTorch reads the two numbers of an image as those of its width and its height.
            drawn = samples._array[: x.shape[0], :, n - 1 - dim if n == 2 else dim]
            size = x.shape[2 + dim]
            starts.append(window_starts(drawn, size, out[dim], kernel[dim], x.backend.xp))
        y, index = FractionalMaxPool.apply(x, starts=starts, kernel=kernel)
        return (y, index) if batched else (y.squeeze(0), index.squeeze(0))

    def pool(
        input: Any,
        kernel_size: Ints,
        output_size: Ints | None = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> Any:
        both = with_indices(input, kernel_size, output_size, output_ratio, True, _random_samples)
        return both if return_indices else both[0]

    pool.__name__ = pool.__qualname__ = name
    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    doc = (
        f"Maximum of windows of input ([N,] C, *S) that start at random, {n}-d{{}}.\n\n"
        "`output_size` or `output_ratio` says how many. RuntimeError if they do not fit."
    )
    pool.__doc__ = doc.format("")
    with_indices.__doc__ = doc.format(", and its position")
    return pool, with_indices


def _check_fits(name: str, x: Tensor, kernel: tuple[int, ...], out: tuple[int, ...]) -> None:
    axes = ("time", "height", "width")[-len(out) :]
    for axis, size, k, n_out in zip(axes, x.shape[2:], kernel, out, strict=True):
        if n_out + k - 1 > size:
            raise RuntimeError(
                f"{name}(): pool {axis} {k} too large relative to input {axis} {size}"
            )


fractional_max_pool2d, fractional_max_pool2d_with_indices = _fractional(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = _fractional(3)
