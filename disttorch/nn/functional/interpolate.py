"""Resizing images: each dimension is resampled in turn."""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Sequence

from disttorch.nn.functional.resample import resample, resample_bytes, resampling
from disttorch.ops.pad import IndexedPad
from disttorch.ops.pool_adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from disttorch.tensor import Tensor

_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}
_AREA = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}
_CORNERED = ("linear", "bilinear", "bicubic", "trilinear", "lanczos")


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize input (N, C, *S), one to three dimensions, to `size` or by `scale_factor`.

    `mode`: "nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic", "area" or
    (with `antialias`) "lanczos". Raises ValueError for sizes that do not fit, NotImplementedError
    for other modes and ranks.
    """
    if mode not in _CORNERED and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear "
            "| bicubic | trilinear"
        )
    sizes, scales = _output(input, size, scale_factor)
    if input.ndim in _AREA and min(*sizes, *input.shape[2:]) <= 0:
        before, after = (
            ", ".join(f"{a}: {n}" for a, n in zip("DHW"[-len(sizes) :], s, strict=True))
            for s in (input.shape[2:], sizes)
        )
        joined = " and output" if len(sizes) == 1 else " output"
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({before}){joined} "
            f"({after})"
        )
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )
    if recompute_scale_factor:
        scales = [None] * len(sizes)
    if mode == "area" and input.ndim in _AREA:
        return _AREA[input.ndim](input, sizes)
    if mode in ("nearest", "nearest-exact") and input.ndim in _AREA:
        shift = 0.5 if mode == "nearest-exact" else 0.0
        return _nearest(input, sizes, scales, shift)
    _check_mode(input, mode, align_corners, antialias)
    corners = bool(align_corners)
    if input.dtype.name == "uint8":
        for dim in range(input.ndim - 1, 1, -1):  # rows first, as images of bytes are resized
            given = (input.shape[dim], sizes[dim - 2], scales[dim - 2])
            input = resample_bytes(input, dim, resampling(*given, corners, mode, antialias))
        return input
    for dim, (n_out, scale) in enumerate(zip(sizes, scales, strict=True), start=2):
        if antialias or mode == "bicubic":
            weights = resampling(input.shape[dim], n_out, scale, corners, mode, antialias)
            input = resample(input, dim, weights)
        else:
            input = _linear(input, dim, n_out, scale, corners)
    return input


def _check_mode(input: Tensor, mode: str, corners: bool | None, antialias: bool) -> None:
    """PyTorch's errors for modes that the input's rank or the other settings do not allow."""
    if mode == "lanczos" and input.ndim == 4:
        if corners:
            raise ValueError("Lanczos mode does not support align_corners=True")
        if not antialias:
            raise ValueError("Lanczos mode requires antialias=True")
        return
    if mode == _LINEAR.get(input.ndim) or (mode == "bicubic" and input.ndim == 4):
        return
    ranks = {name: rank for rank, name in _LINEAR.items()}
    if input.ndim in _LINEAR and mode in ranks:
        raise NotImplementedError(
            f"Got {input.ndim}D input, but {mode} mode needs {ranks[mode]}D input"
        )
    raise NotImplementedError(
        "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
        f"{input.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
        f"lanczos | area | nearest-exact (got {mode})"
    )


def _output(
    input: Tensor, size: int | Sequence[int] | None, scale_factor: float | Sequence[float] | None
) -> tuple[list[int], list[float | None]]:
    """The output's spatial sizes, and the scales to sample with where they were given."""
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    n = input.ndim - 2
    spatial = list(input.shape[2:])
    if size is not None:
        sizes = [size] * n if isinstance(size, int) else [int(s) for s in size]
        if len(sizes) != n:
            raise ValueError(
                "Input and output must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {spatial} and output size of {size}. Please provide "
                "input tensor in (N, C, d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) "
                "format."
            )
        return sizes, [None] * n
    single = isinstance(scale_factor, (int, float))
    scales = [float(scale_factor)] * n if single else list(scale_factor)  # type: ignore[arg-type]
    if len(scales) != n:
        raise ValueError(
            "Input and scale_factor must have the same number of spatial dimensions, but got input "
            f"with spatial dimensions of {spatial} and scale_factor of shape {scale_factor}. "
            "Please provide input tensor in (N, C, d1, d2, ...,dK) format and scale_factor in (s1, "
            "s2, ...,sK) format."
        )
    return [math.floor(s * f) for s, f in zip(spatial, scales, strict=True)], list(scales)


def _float32(x: float) -> float:
    """Round to float32, in which PyTorch computes positions."""
    return float(struct.unpack("f", struct.pack("f", x))[0])


def _nearest(input: Tensor, sizes: list[int], scales: list[float | None], shift: float) -> Tensor:
    """Take the pixel at each output pixel's position, rounded down."""
    positions = {}
    for dim, (n_out, scale) in enumerate(zip(sizes, scales, strict=True), start=2):
        n = input.shape[dim]
        step = _float32(1 / scale if scale else n / n_out)
        positions[dim] = tuple(
            min(math.floor(_float32((i + shift) * step)), n - 1) for i in range(n_out)
        )
    return IndexedPad.apply(input, positions=positions)


def _linear(input: Tensor, dim: int, n_out: int, scale: float | None, corners: bool) -> Tensor:
    """Mix the two pixels around each output pixel's position along `dim`."""
    n = input.shape[dim]
    if corners:
        step = (n - 1) / (n_out - 1) if n_out > 1 else 0.0
        at = [i * step for i in range(n_out)]
    else:
        step = 1 / scale if scale else n / n_out
        at = [max(0.0, (i + 0.5) * step - 0.5) for i in range(n_out)]
    low = [min(int(x), n - 1) for x in at]
    high = [min(i + 1, n - 1) for i in low]
    shape = [-1 if d == dim else 1 for d in range(input.ndim)]
    share = input.backend.asarray(
        [x - i for x, i in zip(at, low, strict=True)], input._array.dtype
    ).reshape(shape)
    below = IndexedPad.apply(input, positions={dim: tuple(low)})
    above = IndexedPad.apply(input, positions={dim: tuple(high)})
    return below + (above - below) * Tensor._wrap(share)


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Resize as `interpolate` does (deprecated)."""
    _warn_of_name("nn.functional.upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """Resize by repeating the nearest pixel (deprecated)."""
    _warn_of_name("nn.functional.upsample_nearest")
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """Resize by mixing pixels, corners kept (deprecated)."""
    _warn_of_name("nn.functional.upsample_bilinear")
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


def _warn_of_name(name: str) -> None:
    warnings.warn(f"`{name}` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=3)
