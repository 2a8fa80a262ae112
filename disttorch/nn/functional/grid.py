"""Images sampled at the points of a grid, and grids of affine maps."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

from disttorch.dtype import int64
from disttorch.ops.matmul import matmul
from disttorch.ops.pointwise_bounds import where
from disttorch.tensor import Tensor

# PyTorch's names and their numbers.
GRID_SAMPLE_INTERPOLATION_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
GRID_SAMPLE_PADDING_MODES = {"zeros": 0, "border": 1, "reflection": 2}
_CUBIC = -0.75  # the slope of the kernel, PyTorch's


def _warn_of_default(function: str) -> bool:
    warnings.warn(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since "
        "1.3.0. Please specify align_corners=True if the old behavior is desired. See the "
        f"documentation of {function} for details.",
        stacklevel=3,
    )
    return False


def _check(input: Tensor, grid: Tensor, mode: str) -> None:
    """RuntimeError with PyTorch's texts for shapes that do not belong together."""
    n = input.ndim - 2
    if input.ndim not in (4, 5) or input.ndim != grid.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if input.dtype != grid.dtype:
        raise RuntimeError(
            "grid_sampler(): expected input and grid to have same dtype, but input has "
            f"{input.dtype} and grid has {grid.dtype}".replace("disttorch.", "").replace(
                "torch.", ""
            )
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != n:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {n} in last dimension, but got grid with "
            f"sizes {list(grid.shape)}"
        )
    for dim in range(2, input.ndim):
        if not input.shape[dim]:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input "
                f"has sizes {list(input.shape)} with dimension {dim} being empty"
            )
    if mode == "bicubic" and n != 2:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


def _reflected(x: Any, low: float, high: float) -> Any:
    """Coordinates reflected into [low, high] as often as needed."""
    if low == high:
        return x * 0
    span = high - low
    distance = (x - low).abs()
    flips = (distance / span).floor().detach()
    rest = distance - flips * span
    return where(flips % 2 == 0, rest + low, span - rest + low)


def _padded(x: Any, n: int, padding: str, corners: bool) -> Any:
    """Coordinates moved into the image of length `n`, as `padding` says."""
    if padding == "reflection":
        x = _reflected(x, *((0, n - 1) if corners else (-0.5, n - 0.5)))
    return x if padding == "zeros" else x.clamp(0, n - 1)


class _Image:
    """An image (N, C, *S) that can be read at integral coordinates (N, points)."""

    def __init__(self, input: Any) -> None:
        self.sizes = tuple(input.shape[2:])
        self.flat = input.reshape(*input.shape[:2], math.prod(self.sizes))

    def read(self, at: Sequence[Any]) -> Any:
        """Pixels (N, C, points); zeros outside. `at` has floats for each dimension."""
        inside, index = None, 0
        for x, n in zip(at, self.sizes, strict=True):
            within = (x >= 0) & (x <= n - 1)
            inside = within if inside is None else inside & within
            index = index * n + where(within, x, x.new_zeros(())).to(int64)
        n_images, n_channels = self.flat.shape[:2]
        spread = index.unsqueeze(1).expand(n_images, n_channels, index.shape[-1])  # type: ignore[attr-defined]
        pixels = self.flat.gather(2, spread)
        return where(inside.unsqueeze(1), pixels, pixels.new_zeros(()))  # type: ignore[union-attr]


def _bilinear(image: _Image, at: Sequence[Any]) -> Any:
    """Mix the pixels around each point, in any number of dimensions."""
    low = [x.floor().detach() for x in at]
    share = [x - f for x, f in zip(at, low, strict=True)]
    total = None
    for corner in itertools.product((0, 1), repeat=len(at)):
        weight: Any = 1
        for s, upper in zip(share, corner, strict=True):
            weight = weight * (s if upper else 1 - s)
        pixels = image.read([f + c for f, c in zip(low, corner, strict=True)])
        part = pixels * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total


def cubic_weights(t: Any) -> list[Any]:
    """Weights of the four pixels around a place `t` in [0, 1) behind the second of them."""

    def near(d: Any) -> Any:
        return ((_CUBIC + 2) * d - (_CUBIC + 3)) * d * d + 1

    def far(d: Any) -> Any:
        return ((_CUBIC * d - 5 * _CUBIC) * d + 8 * _CUBIC) * d - 4 * _CUBIC

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _bicubic(image: _Image, at: Sequence[Any], padding: str, corners: bool) -> Any:
    """Mix the sixteen pixels around each point."""
    low = [x.floor().detach() for x in at]
    weights = [cubic_weights(x - f) for x, f in zip(at, low, strict=True)]
    places = [
        [_padded(f + k, n, padding, corners) for k in (-1, 0, 1, 2)]
        for f, n in zip(low, image.sizes, strict=True)
    ]
    total = None
    for i, j in itertools.product(range(4), range(4)):
        pixels = image.read([places[0][i], places[1][j]])
        part = pixels * (weights[0][i] * weights[1][j]).unsqueeze(1)
        total = part if total is None else total + part
    return total


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Sample input (N, C, H, W) at grid (N, H', W', 2): (N, C, H', W'); likewise with depth.

    Coordinates are (x, y[, z]) in [-1, 1], the centres of the corner pixels with `align_corners`,
    their outer edges without. ValueError for unknown modes, RuntimeError for shapes.
    """
    if mode not in GRID_SAMPLE_INTERPOLATION_MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in GRID_SAMPLE_PADDING_MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    corners = _warn_of_default("grid_sample") if align_corners is None else align_corners
    _check(input, grid, mode)
    image, out = _Image(input), grid.shape[1:-1]
    n = len(image.sizes)
    at = []
    for dim, size in enumerate(image.sizes):
        x = grid[..., n - 1 - dim].reshape(grid.shape[0], math.prod(out))
        x = (x + 1) * ((size - 1) / 2) if corners else ((x + 1) * size - 1) / 2
        at.append(x if mode == "bicubic" else _padded(x, size, padding_mode, corners))
    if mode == "nearest":
        y = image.read([x.round().detach() for x in at])
    elif mode == "bilinear":
        y = _bilinear(image, at)
    else:
        y = _bicubic(image, at, padding_mode, corners)
    return y.reshape(*input.shape[:2], *out)


def grid_sampler(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`grid_sample` with its modes as numbers: their places in the two tables above."""
    modes, paddings = tuple(GRID_SAMPLE_INTERPOLATION_MODES), tuple(GRID_SAMPLE_PADDING_MODES)
    return grid_sample(
        input, grid, modes[interpolation_mode], paddings[padding_mode], align_corners
    )


grid_sampler_2d = grid_sampler_3d = grid_sampler


def _check_affine(theta: Any, size: Sequence[int], corners: bool) -> None:
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    shapes = {4: ("2D", "Nx2x3", (2, 3)), 5: ("3D", "Nx3x4", (3, 4))}
    if len(size) not in shapes:
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    kind, spelled, shape = shapes[len(size)]
    if theta.ndim != 3 or tuple(theta.shape[1:]) != shape:
        raise ValueError(
            f"Expected a batch of {kind} affine matrices of shape {spelled} for size {size}. Got "
            f"{theta.shape}."
        )
    if corners and min(size[2:]) == 1:
        warnings.warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when "
            "align_corners=True. This is not an intended use case of affine_grid. See the "
            "documentation of affine_grid for details.",
            stacklevel=3,
        )
    elif min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid (N, H, W, 2) for `grid_sample` of affine maps theta (N, 2, 3); (N, 3, 4) in 3-d.

    `size` is (N, C, H, W) of the output. ValueError for shapes that do not fit.
    """
    size = tuple(int(n) for n in size)
    corners = _warn_of_default("affine_grid") if align_corners is None else align_corners
    _check_affine(theta, size, corners)
    xp, kind = theta.backend.xp, theta._array.dtype
    spatial = size[2:]
    base = xp.ones((*spatial, len(spatial) + 1), kind)
    for dim, n in enumerate(spatial):
        points = xp.linspace(-1, 1, n).astype(kind) if n > 1 else xp.zeros(1, kind)
        if not corners:
            points = points * kind.type((n - 1) / n)
        shape = [-1 if d == dim else 1 for d in range(len(spatial))]
        base[..., len(spatial) - 1 - dim] = points.reshape(shape)
    rows = Tensor._wrap(base.reshape(-1, len(spatial) + 1))
    made: Any = matmul(rows, theta.transpose(1, 2))
    return made.reshape(size[0], *spatial, len(spatial))
