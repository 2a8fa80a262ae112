"""`nn.init`: filling tensors in place with initial values; PyTorch's names, formulas and stream.

After the same `manual_seed` the values are PyTorch's own. Nothing here is recorded by autograd.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

from disttorch.autograd.grad_mode import no_grad
from disttorch.ops.create_random import randperm
from disttorch.tensor import Tensor

_SQRT2 = math.sqrt(2.0)
_GAINS: dict[str, float] = {
    **dict.fromkeys(["linear", "sigmoid"], 1),
    **dict.fromkeys([f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)], 1),
    "tanh": 5.0 / 3,
    "relu": _SQRT2,
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that keeps the variance through `nonlinearity`.

    `param` is the negative slope of "leaky_relu" (0.01). ValueError for an unknown name.
    """
    if nonlinearity in _GAINS:
        return _GAINS[nonlinearity]
    if nonlinearity != "leaky_relu":
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    slope = 0.01 if param is None else param
    if isinstance(slope, bool) or not isinstance(slope, (int, float)):
        raise ValueError(f"negative_slope {param} not a valid number")
    return math.sqrt(2.0 / (1 + slope**2))


# ---- independent values ----------------------------------------------------------------------


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with numbers uniform in [a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with normal numbers."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0.0)


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / _SQRT2)) / 2.0


@no_grad()
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """Fill with normal numbers within [a, b], drawing anew those outside."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of "
            "values may be incorrect.",
            stacklevel=2,
        )
    accepted = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    # Where few normal numbers fall in the range, uniform ones are drawn and rejected instead.
    if accepted > 0.3:
        _redraw_outside(tensor, mean, std, (a, b), generator)
    else:
        _reject_uniform(tensor, mean, std, (a, b), generator)
    tensor._cell[0] += 1
    return tensor


def _redraw_outside(
    tensor: Any, mean: float, std: float, limits: tuple[float, float], generator: Any
) -> None:
    """Draw all numbers again until each was once within the limits."""
    tensor.normal_(mean, std, generator=generator)
    values = tensor._array
    # The limits in the tensor's precision, lest a rounded number count as outside.
    low, high = (values.dtype.type(limit) for limit in limits)
    fresh = Tensor._wrap(tensor.backend.xp.empty_like(values))
    while (outside := (values < low) | (values > high)).any():
        fresh.normal_(mean, std, generator=generator)
        values[...] = tensor.backend.xp.where(outside, fresh._array, values)


def _reject_uniform(
    tensor: Any, mean: float, std: float, limits: tuple[float, float], generator: Any
) -> None:
    """Draw uniform numbers until each is accepted with the density's ratio to its peak."""
    xp = tensor.backend.xp
    peak = -0.5 * ((max(limits[0], min(mean, limits[1])) - mean) / std) ** 2
    values = tensor._array
    drawn, chance = (Tensor._wrap(xp.empty_like(values)) for _ in range(2))
    pending = xp.ones(values.shape, bool)
    while pending.any():
        drawn.uniform_(*limits, generator=generator)
        values[...] = xp.where(pending, drawn._array, values)
        density = ((drawn._array - mean) / std) ** 2 * -0.5 - peak
        chance.uniform_(generator=generator)
        pending = pending & (xp.log(chance._array) > density)


# ---- patterns --------------------------------------------------------------------------------


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity; ValueError unless it has 2 dimensions."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    tensor.fill_(0)
    diagonal = range(min(tensor.shape))
    tensor._array[diagonal, diagonal] = 1
    return tensor


@no_grad()
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution's weight so that it hands on its channels: (out, in / groups, *sizes).

    ValueError unless there are 3 to 5 dimensions and `groups` divides the first.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    n_out, n_in, *sizes = tensor.shape
    if n_out % groups:
        raise ValueError("dim 0 must be divisible by groups")
    tensor.fill_(0)
    centre = tuple(size // 2 for size in sizes)
    per_group = n_out // groups
    for group in range(groups):
        for channel in range(min(per_group, n_in)):
            tensor._array[(group * per_group + channel, channel, *centre)] = 1
    return tensor


# ---- by fan ----------------------------------------------------------------------------------


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """Return how many inputs an output has and the reverse, from a weight (out, in, *kernel)."""
    if tensor.ndim < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    n_out, n_in, *kernel = tensor.shape
    field = math.prod(kernel)
    return n_in * field, n_out * field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    """Return the fan that `mode` ("fan_in" or "fan_out") names; ValueError for another mode."""
    modes = ["fan_in", "fan_out"]
    mode = mode.lower()
    if mode not in modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {modes}")
    return _calculate_fan_in_and_fan_out(tensor)[modes.index(mode)]


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with uniform numbers of standard deviation gain * sqrt(2 / (fan_in + fan_out))."""
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with normal numbers of standard deviation gain * sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float | None:
    """Return gain / sqrt(fan), None (and warn) for a tensor without elements."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return None
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Fill with uniform numbers of standard deviation gain / sqrt(fan)."""
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Fill with normal numbers of standard deviation gain / sqrt(fan)."""
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    return tensor if std is None else normal_(tensor, 0, std, generator)


# ---- matrices --------------------------------------------------------------------------------


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """Fill with a (semi-)orthogonal matrix, dimensions after the first taken together.

    ValueError for fewer than 2 dimensions.
    """
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if not tensor.numel():
        return tensor
    xp = tensor.backend.xp
    rows = tensor.shape[0]
    drawn = Tensor._wrap(xp.empty((rows, tensor.numel() // rows), tensor._array.dtype))
    normal_(drawn, 0, 1, generator)
    wide = drawn.shape[0] < drawn.shape[1]
    q, r = xp.linalg.qr(drawn._array.T if wide else drawn._array)
    q = q * xp.sign(xp.diagonal(r))  # makes the decomposition, and so the distribution, unique
    tensor._array[...] = (q.T if wide else q).reshape(tensor.shape) * gain
    tensor._cell[0] += 1
    return tensor


@no_grad()
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Fill a matrix with normal numbers and set the fraction `sparsity` of each column to 0."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    normal_(tensor, 0, std, generator)
    for column in range(columns):
        zeroed = randperm(rows)._array[: math.ceil(sparsity * rows)]
        tensor._array[zeroed, column] = 0
    return tensor


# ---- deprecated names, without underscore ----------------------------------------------------


def _deprecated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    new = function.__name__
    old = new.removesuffix("_")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    call.__name__ = old
    call.__doc__ = f"Deprecated name of `{new}`."
    return call


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
