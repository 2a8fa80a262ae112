"""Reductions and normalisations that leave out elements (`torch.masked`).

A mask is a bool tensor that broadcasts to the input, True where an element counts. What a mask
leaves out is replaced by the value that changes nothing: 0 in a sum, 1 in a product, -inf in a
maximum; so a row without any element gives that value (NaN for means, medians and variances).

Source: https://docs.pytorch.org/docs/stable/masked.html
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

from disttorch.dtype import dtype as Dtype
from disttorch.dtype import float32, iinfo, int64
from disttorch.linalg import vector_norm
from disttorch.ops import PUBLIC
from disttorch.tensor import Tensor

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]

Dims = int | Sequence[int] | None
_INF = float("inf")


def _lowest(input: Tensor) -> float:
    """The value below all others of the input's dtype."""
    return -_INF if input.is_floating_point() or input.is_complex() else iinfo(input.dtype).min


def _highest(input: Tensor) -> float:
    """The value above all others of the input's dtype."""
    return _INF if input.is_floating_point() else iinfo(input.dtype).max


def _full_mask(input: Tensor, mask: Tensor) -> Tensor:
    """`mask` as bools of the input's shape; IndexError if it has more dimensions."""
    if mask.ndim > input.ndim:
        raise IndexError(
            "_input_mask expected broadcastable mask (got mask dimensionality higher than of the "
            "input)"
        )
    return mask.bool().expand(input.shape)


def _filled(input: Tensor, mask: Tensor | None, value: float) -> Tensor:
    """`input` with `value` where the mask leaves elements out."""
    if mask is None:
        return input
    fill = PUBLIC["scalar_tensor"](value, dtype=input.dtype, device=input.device)
    return PUBLIC["where"](_full_mask(input, mask), input, fill)


def _dims(dim: Dims, ndim: int) -> tuple[int, ...]:
    """Dimensions as a sorted tuple without negatives, all for None; RuntimeError for repeats."""
    if dim is None or (not isinstance(dim, int) and not len(dim)):
        return tuple(range(ndim))
    dims: list[int] = []
    for d in (dim,) if isinstance(dim, int) else dim:
        if d in dims:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
        if not -builtins.max(ndim, 1) <= d < builtins.max(ndim, 1):
            raise IndexError(
                f"Dimension out of range (expected to be in range of "
                f"[{-builtins.max(ndim, 1)}, {builtins.max(ndim, 1) - 1}], but got {d})"
            )
        dims.append(d % builtins.max(ndim, 1))
    return tuple(sorted(dims))


def _summed_dtype(input: Tensor) -> Dtype:
    """The dtype of sums and products: integers and bools become int64."""
    whole = not (input.is_floating_point() or input.is_complex())
    return int64 if whole else input.dtype


def sum(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Sum over `dim` (all by default) of the elements that count; 0 where there are none."""
    dtype = dtype or _summed_dtype(input)
    kept = _filled(input, mask, 0)
    return kept.sum(_dims(dim, input.ndim), keepdim=bool(keepdim), dtype=dtype)


def prod(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Product over `dim` (all by default) of the elements that count; 1 where there are none."""
    dtype = dtype or _summed_dtype(input)
    result = _filled(input, mask, 1)
    for d in reversed(_dims(dim, input.ndim)):
        result = result.prod(d, keepdim=bool(keepdim), dtype=dtype)
    return result.to(dtype)


def _scan(name: str, neutral: float) -> Callable[..., Tensor]:
    """Make the masked form of a running sum or product."""

    def scan(
        input: Tensor, dim: int, *, dtype: Dtype | None = None, mask: Tensor | None = None
    ) -> Tensor:
        kept = _filled(input, mask, neutral)
        result: Tensor = PUBLIC[name](kept, _dims(dim, input.ndim)[0], dtype=dtype or input.dtype)
        return result

    scan.__name__ = scan.__qualname__ = name
    scan.__doc__ = f"`{name}` along `dim` in which what `mask` leaves out counts as {neutral}."
    return scan


cumsum = _scan("cumsum", 0)
cumprod = _scan("cumprod", 1)


def _extreme(name: str, neutral: Callable[[Tensor], float]) -> Callable[..., Tensor]:
    """Make the masked form of `amax` or `amin`."""

    def extreme(
        input: Tensor,
        dim: Dims = None,
        *,
        keepdim: bool | None = False,
        dtype: Dtype | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        kept = _filled(input, mask, neutral(input) if mask is not None else 0)
        result: Tensor = PUBLIC[name](kept, _dims(dim, input.ndim), bool(keepdim))
        return result.to(dtype or input.dtype)

    extreme.__name__ = extreme.__qualname__ = name
    extreme.__doc__ = f"`{name}` over `dim` (all by default) of the elements that count."
    return extreme


amax = _extreme("amax", _lowest)
amin = _extreme("amin", _highest)


def _place(name: str, neutral: Callable[[Tensor], float]) -> Callable[..., Tensor]:
    """Make the masked form of `argmax` or `argmin`."""

    def place(
        input: Tensor,
        dim: int | None = None,
        *,
        keepdim: bool | None = False,
        dtype: Dtype | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        kept = _filled(input, mask, neutral(input) if mask is not None else 0)
        result: Tensor = PUBLIC[name](kept, dim, bool(keepdim))
        return result.to(dtype or input.dtype)

    place.__name__ = place.__qualname__ = name
    place.__doc__ = f"`{name}` along `dim` (of all elements by default) of those that count."
    return place


argmax = _place("argmax", _lowest)
argmin = _place("argmin", _highest)


def _count(input: Tensor, dim: Dims, keepdim: bool, mask: Tensor | None) -> Tensor:
    """How many elements count, in int64."""
    ones = PUBLIC["ones"](input.shape, dtype=int64, device=input.device)
    return sum(ones, dim, keepdim=keepdim, mask=mask)


def mean(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Mean over `dim` (all by default) of the elements that count; NaN where there are none.

    ValueError for integers without a floating `dtype`.
    """
    source = "Input" if dtype is None else "Optional"
    dtype = dtype or input.dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(
            f"mean(): Could not infer output dtype. {source} dtype must be either a floating point "
            f"or complex dtype. Got: {dtype}"
        )
    total = sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / _count(input, dim, bool(keepdim), mask)


def median(
    input: Tensor,
    dim: int = -1,
    *,
    keepdim: bool = False,
    dtype: Dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Median along `dim` of the elements that count; NaN where there are none.

    ValueError if an integer input has a row without elements.
    """
    is_float = input.is_floating_point()
    kept = _filled(input if is_float else input.to(float32), mask, float("nan"))
    output: Tensor = kept.nanmedian(_dims(dim, input.ndim)[0], keepdim).values
    if is_float:
        return output
    if output.isnan().any():
        raise ValueError(
            "masked median expects no fully masked out rows if dtype is not floating point"
        )
    return output.to(dtype or input.dtype)


def norm(
    input: Tensor,
    ord: float | None = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Vector norm of order `ord` over `dim` (all by default) of the elements that count."""
    kept = _filled(input, mask, _INF if ord == -_INF else 0)
    order = 2.0 if ord is None else ord
    dims = _dims(dim, input.ndim)
    return vector_norm(kept, order, dims, bool(keepdim), dtype=dtype or input.dtype)


def _correction(unbiased: bool | None, correction: float | None) -> float:
    if correction is not None and unbiased is not None:
        raise ValueError("Only one of unbiased and correction may be given")
    if correction is not None:
        return float(correction)
    return 1.0 if unbiased is None or unbiased else 0.0


def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool | None = False,
    dtype: Dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Variance over `dim` (all by default) of the elements that count.

    The sum of squares is divided by their number less `correction` (1 by default).
    """
    less = _correction(unbiased, correction)
    inexact = input.is_floating_point() or input.is_complex()
    dtype = dtype or (input.dtype if inexact else float32)
    computed = dtype if dtype.is_floating_point or dtype.is_complex else float32
    count = _count(input, dim, True, mask)
    centred = input - sum(input, dim, keepdim=True, dtype=dtype, mask=mask) / count
    squares = centred * centred.conj()
    total = sum(squares, dim, keepdim=keepdim, dtype=computed, mask=mask)
    if not keepdim:
        count = count.reshape(total.shape)
    if less:
        real = total.real.dtype if computed.is_complex else computed
        count = (count.to(real) - less).clamp(min=0)
    return (total / count).to(dtype)


def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool | None = False,
    dtype: Dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Standard deviation over `dim` of the elements that count: the root of `var`."""
    spread = var(
        input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask
    )
    return spread.sqrt()


def _normaliser(name: str, neutral: float) -> Callable[..., Tensor]:
    """Make the masked form of a softmax."""

    def normalise(
        input: Tensor, dim: int, *, dtype: Dtype | None = None, mask: Tensor | None = None
    ) -> Tensor:
        kept = _filled(input, mask, neutral)
        dim = _dims(dim, input.ndim)[0]
        if name == "softmin":
            return (-kept).softmax(dim, dtype=dtype or input.dtype)
        result: Tensor = PUBLIC[name](kept, dim, dtype=dtype or input.dtype)
        return result

    normalise.__name__ = normalise.__qualname__ = name
    normalise.__doc__ = f"`{name}` along `dim` of the elements that count; NaN in rows of none."
    return normalise


softmax = _normaliser("softmax", -_INF)
log_softmax = _normaliser("log_softmax", -_INF)
softmin = _normaliser("softmin", _INF)


def normalize(
    input: Tensor,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: Dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Divide what counts by its norm along `dim`, at least `eps`; 0 where the mask is False."""
    length = norm(input, ord, dim, keepdim=True, dtype=dtype or input.dtype, mask=mask)
    return _filled(input, mask, 0) / length.clamp(min=eps)


def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: Dtype | None = None,
    input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:
    """``log(exp(input) + exp(other))``; what a mask leaves out adds nothing."""
    left = _filled(input, input_mask, _lowest(input))
    right = _filled(other, other_mask, _lowest(other))
    result: Tensor = PUBLIC["logaddexp"](left, right)
    return result.to(dtype or input.dtype)


def logsumexp(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Log of the sum of exponentials over `dim` of what counts; -inf where there is nothing."""
    kept = _filled(input, mask, _lowest(input) if mask is not None else 0)
    result: Any = PUBLIC["logsumexp"](kept, _dims(dim, input.ndim), keepdim)
    return result.to(dtype or input.dtype)
