"""Memory layouts of images: contiguous (N, C, *S), or channels last, logically (N, C, *S)."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def channels_last_view(x: Array) -> Array:
    """View (N, C, *S) as (N, *S, C)."""
    return x.transpose(0, *range(2, x.ndim), 1)


def channels_first_view(x: Array) -> Array:
    """View (N, *S, C) as (N, C, *S)."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def is_channels_last(x: Array) -> bool:
    """Whether the channel is the fastest dimension in memory and the contiguous layout differs."""
    return not x.flags.c_contiguous and channels_last_view(x).flags.c_contiguous


def empty_images(shape: tuple[int, ...], np_dtype: np.dtype, channels_last: bool) -> Array:
    """Return a new array of logical `shape` (N, C, *S) in one of the two layouts."""
    if not channels_last:
        return np.empty(shape, np_dtype)
    return channels_first_view(np.empty((shape[0], *shape[2:], shape[1]), np_dtype))


def padded_channels_last(x: Array, padding: tuple[int, ...]) -> Array:
    """Return (N, C, *S) as a contiguous (N, *S', C) with zeros around; no copy if it is one."""
    source = channels_last_view(x)
    if not any(padding):
        return np.ascontiguousarray(source)
    sizes = [n + 2 * p for n, p in zip(x.shape[2:], padding, strict=True)]
    out = np.zeros((x.shape[0], *sizes, x.shape[1]), x.dtype)
    out[interior(padding, x.shape[2:])] = source
    return out


def padded(x: Array, padding: tuple[int, ...]) -> Array:
    """Return (N, C, *S) with zeros around each image; `x` itself if there is no padding."""
    if not any(padding):
        return x
    sizes = [n + 2 * p for n, p in zip(x.shape[2:], padding, strict=True)]
    out = np.zeros((*x.shape[:2], *sizes), x.dtype)
    out[(slice(None), *interior(padding, x.shape[2:]))] = x
    return out


def interior(padding: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[slice, ...]:
    """Slices of a padded (N, *S', ...) array that hold the image."""
    return (slice(None), *(slice(p, p + n) for p, n in zip(padding, sizes, strict=True)))
