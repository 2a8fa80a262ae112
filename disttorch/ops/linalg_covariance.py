"""Covariances and correlations of variables that are the rows of a matrix."""

from __future__ import annotations

import warnings
from typing import Any

from disttorch.autograd.op import public
from disttorch.dtype import TYPE_NAMES, get_default_dtype
from disttorch.ops.cast import cast
from disttorch.ops.cast_complex import complex as make_complex
from disttorch.ops.cast_complex import conj
from disttorch.ops.matmul import matmul
from disttorch.ops.pointwise_bounds import clamp
from disttorch.tensor import Tensor

__all__ = ["corrcoef", "cov"]


def _check_weights(w: Tensor, name: str, n: int, integral: bool) -> None:
    if w.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with {w.ndim} "
            "dimensions"
        )
    kinds = "iu" if integral else "fV"
    if w._array.dtype.kind not in kinds:
        wanted = "integral" if integral else "floating point"
        raise RuntimeError(
            f"cov(): expected {name} to have {wanted} dtype but got {name} with "
            f"{TYPE_NAMES[w.dtype]} dtype"
        )
    if w.numel() != n:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input "
            f"but got {w.numel()} != {n}"
        )
    if n and bool((w._array < 0).any()):
        raise RuntimeError(f"cov(): {name} cannot be negative")


@public(method=True)
def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """Covariance matrix (k, k) of k variables in rows, (k, n); of one, (n,), its variance.

    `correction` is subtracted from the number of observations; `fweights` (n,) are how often each
    was seen, `aweights` (n,) how much it counts. Raises RuntimeError for other shapes and dtypes.
    """
    if input.ndim > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input.ndim} dimensions"
        )
    if input._array.dtype.kind == "b":
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x: Any = input if input.ndim == 2 else input.reshape(1, -1)
    x = cast(x, get_default_dtype()) if x._array.dtype.kind in "iu" else x
    n = x._array.shape[1]
    weights: Any = None
    if fweights is not None:
        _check_weights(fweights, "fweights", n, integral=True)
        weights = fweights
    if aweights is not None:
        _check_weights(aweights, "aweights", n, integral=False)
        weights = aweights if weights is None else weights * aweights
    total = n if weights is None else weights.sum()
    if weights is not None and float(total) == 0:
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    mean = (x if weights is None else x * weights).sum(1) / total
    divisor = total - correction
    if aweights is not None and correction != 0:
        divisor = total - correction * (weights * aweights).sum() / total
    if float(divisor) <= 0:
        warnings.warn("cov(): degrees of freedom is <= 0", UserWarning, stacklevel=3)
        divisor = 0 * divisor
    x = x - mean.unsqueeze(1)
    other = conj(x if weights is None else x * weights)
    return (matmul(x, other.t()) / divisor).squeeze()


@public(method=True)
def corrcoef(input: Tensor) -> Tensor:
    """Correlation coefficients (k, k) of k variables in rows, (k, n); of one, (n,), 1."""
    if input.ndim > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{input.ndim} dimensions"
        )
    c: Any = cov(input)
    if not c.ndim:
        return c / c
    d = c.diagonal()
    deviation = (d.real if c.is_complex() else d).sqrt()
    c = c / deviation.unsqueeze(1) / deviation.unsqueeze(0)
    if c.is_complex():
        return make_complex(clamp(c.real, -1, 1), clamp(c.imag, -1, 1))
    return clamp(c, -1, 1)
