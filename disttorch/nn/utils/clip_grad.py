"""Limiting gradients before a step: by their common norm, or each by itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

from disttorch.ops.create import tensor
from disttorch.tensor import Tensor

Array = Any


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """The gradients that parameters have."""
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p._grad for p in given if p._grad is not None]


def _norm(xp: Any, array: Array, norm_type: float) -> Array:
    """Norm of all elements of an array, 0-d."""
    flat = array.reshape(-1)
    if flat.dtype.itemsize == 2:
        flat = flat.astype("float32")
    if norm_type == math.inf:
        return xp.max(xp.abs(flat)) if flat.size else xp.zeros((), flat.dtype)
    if norm_type == 2:
        # A dot product reads the gradient once and makes no temporary.
        return xp.sqrt(xp.vdot(flat, flat).real)
    return xp.sum(xp.abs(flat) ** norm_type) ** (1 / norm_type)


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Return the norm of all elements of `tensors` together, 0-d.

    With `error_if_nonfinite` a NaN or infinite norm raises RuntimeError.
    """
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not given:
        return tensor(0.0)
    norm_type = float(norm_type)
    xp = given[0].backend.xp
    norms = [_norm(xp, t._array, norm_type) for t in given]
    dtype = xp.result_type(*[t._array.real.dtype for t in given])
    total = _norm(xp, xp.stack(norms), norm_type)
    if error_if_nonfinite and not math.isfinite(float(total)):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return Tensor._wrap(xp.asarray(total, dtype))


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale all gradients in place by max_norm / total_norm where that is below 1."""
    factor = float(max_norm) / (float(total_norm) + 1e-6)
    if factor >= 1:
        return
    for grad in _grads(parameters):
        array = grad._array
        grad.backend.xp.multiply(array, array.dtype.type(factor), out=array)
        grad._cell[0] += 1


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale gradients in place so that their common norm is at most `max_norm`; return it, 0-d.

    `norm_type` may be inf. RuntimeError for a NaN or infinite norm with `error_if_nonfinite`.
    """
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not given and isinstance(parameters, GeneratorType):
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2
        )
    total = get_total_norm(_grads(given), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(given, max_norm, total)
    return total


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Cut gradients off in place at -clip_value and clip_value."""
    limit = float(clip_value)
    for grad in _grads(parameters):
        array = grad._array
        low, high = array.dtype.type(-limit), array.dtype.type(limit)
        grad.backend.xp.clip(array, low, high, out=array)
        grad._cell[0] += 1


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Do what `clip_grad_norm_` does; deprecated."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)
