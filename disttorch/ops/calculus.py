"""Differences, derivatives and integrals of sampled functions: diff, gradient, trapezoid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disttorch.autograd.op import public
from disttorch.ops.arithmetic import sub
from disttorch.ops.cast import clone
from disttorch.ops.compare import logical_xor
from disttorch.ops.join import cat
from disttorch.ops.out import accepts_out
from disttorch.ops.reduce import normalized_dims, sum
from disttorch.ops.scan import cumsum
from disttorch.ops.shape_region import narrow
from disttorch.tensor import Tensor

__all__ = ["cumulative_trapezoid", "diff", "gradient", "trapezoid", "trapz"]

Number = float | complex


def _steps(input: Tensor, dim: int, stride: int = 1) -> Tensor:
    """Difference of the elements that are `stride` apart along `dim`."""
    n = input.shape[dim] - stride
    later, earlier = narrow(input, dim, stride, n), narrow(input, dim, 0, n)
    if input._array.dtype.kind == "b":
        return logical_xor(later, earlier)
    return sub(later, earlier)


# ---- differences ---------------------------------------------------------------------------------


def _check_joined(input: Tensor, other: Tensor, dim: int) -> None:
    """Raise PyTorch's errors for a tensor that cannot be joined to `input` along `dim`."""
    if other.ndim != input.ndim:
        raise RuntimeError("diff expects prepend or append to be the same dimension as input")
    for d, (n, m) in enumerate(zip(input.shape, other.shape, strict=True)):
        if n != m and d != dim:
            raise RuntimeError(
                "diff expects the shape of tensor to prepend or append to match that of input "
                f"except along the differencing dimension; input.size({d}) = {n}, but got "
                f"tensor.size({d}) = {m}"
            )


@public(method=True)
@accepts_out
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """Difference of neighbours along `dim`, taken `n` times; bools differ by exclusive or.

    `prepend` and `append` are joined to the input first. RuntimeError for 0-d inputs.
    """
    if not input.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = input._dim(dim)
    if n == 0:  # as in PyTorch, whatever is to be joined
        return clone(input)
    ends = [t for t in (prepend, append) if t is not None]
    for t in ends:
        _check_joined(input, t, d)
    y = input
    if ends:
        y = cat([t for t in (prepend, input, append) if t is not None], d)
    if n >= y.shape[d]:
        return clone(narrow(y, d, 0, 0))
    for _ in range(n):
        y = _steps(y, d)
    return y


# ---- derivatives ---------------------------------------------------------------------------------

Spacing = Tensor | Number


def _at(values: Tensor, dim: int, start: int, length: int) -> Tensor:
    """Elements from `start` on, counted from the end if negative."""
    return narrow(values, dim, start % values.shape[dim], length)


def _derivative(f: Tensor, dim: int, spacing: Spacing, edge_order: int) -> Tensor:
    """Derivative along one dimension: central inside, one-sided of `edge_order` at the ends."""
    n = f.shape[dim]
    if not isinstance(spacing, Tensor):
        inner = _steps(f, dim, 2) / (2 * spacing)
        first, last = (_one_sided(f, dim, (spacing,) * edge_order, end) for end in (1, -1))
        return cat([first, inner, last], dim)
    shape = [1] * f.ndim
    shape[dim] = n - 1
    h = _steps(spacing, 0).reshape(shape)
    before, after = narrow(h, dim, 0, n - 2), narrow(h, dim, 1, n - 2)
    both = before + after
    inner = (
        _at(f, dim, 0, n - 2) * (-after / (before * both))
        + _at(f, dim, 1, n - 2) * ((after - before) / (before * after))
        + _at(f, dim, 2, n - 2) * (before / (after * both))
    )
    ends = []
    for end in (1, -1):
        near = [_at(h, dim, i if end == 1 else -1 - i, 1) for i in range(edge_order)]
        ends.append(_one_sided(f, dim, near, end))
    return cat([ends[0], inner, ends[1]], dim)


def _one_sided(f: Tensor, dim: int, steps: Sequence[Any], end: int) -> Tensor:
    """Derivative at the first (`end` 1) or last (-1) element from `len(steps)` differences."""
    values = [_at(f, dim, i if end == 1 else -1 - i, 1) for i in range(len(steps) + 1)]
    if len(steps) == 1:
        y = (values[1] - values[0]) / steps[0]
    else:
        a, b = steps
        y = (
            values[0] * (-(2 * a + b) / (a * (a + b)))
            + values[1] * ((a + b) / (a * b))
            + values[2] * (-a / (b * (a + b)))
        )
    return y if end == 1 else -y


def _spacings(input: Tensor, spacing: Any, dims: tuple[int, ...], given: bool) -> list[Spacing]:
    """One spacing for each of `dims`; RuntimeError for another number of them."""
    if not isinstance(spacing, (list, tuple)):
        return [1 if spacing is None else spacing] * len(dims)
    if len(spacing) == len(dims):
        return list(spacing)
    if given:
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and dim "
            f"arguments to have the same length, but got a spacing argument of length "
            f"{len(spacing)} and a dim argument of length {len(dims)}."
        )
    raise RuntimeError(
        "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal "
        f"to 'self.dim() = {input.ndim}', since dim argument was not given, but got a list of "
        f"length {len(spacing)}"
    )


@public()
def gradient(
    input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """Estimate the derivatives along dimensions (all by default): a tuple of tensors.

    `spacing` is the distance of neighbours: a number, one for each dimension, or 1-D coordinates
    for each. At the ends the estimate is one-sided, of `edge_order` 1 or 2. Raises RuntimeError for
    other orders, uint8, and dimensions shorter than ``edge_order + 1``.
    """
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    if input.dtype.name == "uint8":
        raise RuntimeError("torch.gradient does not support uint8 input.")
    dims = normalized_dims(input, dim)
    spacings = _spacings(input, spacing, dims, dim is not None)
    if any(input.shape[d] < edge_order + 1 for d in dims):
        raise RuntimeError(
            "torch.gradient expected each dimension size to be at least edge_order+1"
        )
    if not (input.is_floating_point() or input.is_complex()):
        input = input / 1
    return tuple(_derivative(input, d, h, edge_order) for d, h in zip(dims, spacings, strict=True))


# ---- integrals -----------------------------------------------------------------------------------


def _pair_sums(y: Tensor, x: Tensor | None, dx: float, dim: int, name: str) -> tuple[Tensor, int]:
    """Sum of each two neighbours of `y` times half their distance, and the dimension."""
    if not y.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    d = y._dim(dim)
    n = max(y.shape[d] - 1, 0)
    later, earlier = narrow(y, d, y.shape[d] - n, n), narrow(y, d, 0, n)
    both = later + earlier
    if x is None:
        return both * (dx / 2), d
    widths = _widths(y, x, d, name)
    return both * widths / 2, d


def _widths(y: Tensor, x: Tensor, dim: int, name: str) -> Tensor:
    """Distances of neighbouring sample points, shaped to multiply what belongs to them."""
    if x.ndim == 1:
        if x.shape[0] != y.shape[dim]:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        shape = [1] * y.ndim
        shape[dim] = max(x.shape[0] - 1, 0)
        return diff(x).reshape(shape)
    lead = y.ndim - x.ndim
    if lead > 0:
        x = x.reshape((*(1,) * lead, *x.shape))
    if x.shape[dim] != y.shape[dim]:
        raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
    return _steps(x, dim)


@public()
def trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1
) -> Tensor:
    """Integrate samples along `dim` by the trapezoidal rule, at points `x` or `dx` (1) apart.

    RuntimeError if there is not one point for each sample.
    """
    areas, d = _pair_sums(y, x, 1 if dx is None else dx, dim, "trapezoid")
    return sum(areas, d)


@public()
def trapz(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """Alias of `trapezoid`."""
    return trapezoid(y, x, dx=dx, dim=dim)


@public()
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1
) -> Tensor:
    """Integrals along `dim` from the first sample to each later one; see `trapezoid`."""
    areas, d = _pair_sums(y, x, 1 if dx is None else dx, dim, "cumulative_trapezoid")
    return cumsum(areas, d)
