"""Views as copies (`permute_copy` and relatives), and parts that are not tracked as views."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from disttorch.autograd.op import public
from disttorch.layout import contiguous_format
from disttorch.ops.cast import clone
from disttorch.ops.cast_complex import view_as_complex, view_as_real
from disttorch.ops.join import Split, chunk_lengths, split, split_lengths, split_with_sizes, unbind
from disttorch.ops.out import accepts_out, write_out
from disttorch.ops.shape import expand, permute, squeeze, t, transpose, unsqueeze, view
from disttorch.ops.shape_region import as_strided, diagonal, narrow, select, unfold
from disttorch.tensor import Tensor

__all__ = [
    *("alias_copy", "as_strided_copy", "detach_copy", "diagonal_copy", "expand_copy"),
    *("narrow_copy", "permute_copy", "select_copy", "slice_copy", "split_copy"),
    *("split_with_sizes_copy", "squeeze_copy", "t_copy", "transpose_copy", "unbind_copy"),
    *("unfold_copy", "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes"),
    *("unsqueeze_copy", "view_as_complex_copy", "view_as_real_copy", "view_copy"),
]


def _copying(name: str, look: Callable[..., Any], *, method: bool = False) -> Callable[..., Any]:
    """``name``: what the view function `look` shows, as new row-major tensors."""

    def copy(input: Tensor, *args: Any, **keywords: Any) -> Any:
        seen = look(input, *args, **keywords)
        if isinstance(seen, Tensor):
            return clone(seen, memory_format=contiguous_format)
        return tuple(clone(part, memory_format=contiguous_format) for part in seen)

    @functools.wraps(copy)
    def several(input: Tensor, *args: Any, out: Any = None, **keywords: Any) -> Any:
        parts = copy(input, *args, **keywords)
        if out is None:
            return parts
        for target, part in zip(out, parts, strict=True):
            write_out(target, part, name)
        return None  # as PyTorch

    copy.__name__ = copy.__qualname__ = name
    copy.__doc__ = f"Copy of what `{name.removesuffix('_copy')}` gives a view of."
    if look in (unbind, split, split_with_sizes):
        several.__name__, several.__doc__ = name, copy.__doc__
        return public(method=method)(several)
    return public(method=method)(accepts_out(copy))


def _itself(input: Tensor) -> Tensor:
    return input


def _slice(
    input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    part = slice(start, end, step)
    return input[(*(slice(None),) * input._dim(dim), part)]


def _narrowed(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`narrow`, with the checks of PyTorch's function that copies."""
    if input.ndim and dim >= input.ndim:
        raise RuntimeError(
            "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false.  "
            "(Could this error message be improved?  If so, please report an enhancement request "
            "to PyTorch.)"
        )
    n = input.shape[input._dim(dim)] if input.ndim else 0
    if length < 0 and -n <= start <= n:
        first = start + n if start < 0 else start
        raise RuntimeError(f"start ({first}) + length ({length}) exceeds dimension size ({n}).")
    return narrow(input, dim, start, length)


alias_copy, detach_copy = _copying("alias_copy", _itself), _copying("detach_copy", _itself)
as_strided_copy = _copying("as_strided_copy", as_strided)
diagonal_copy, expand_copy = _copying("diagonal_copy", diagonal), _copying("expand_copy", expand)
narrow_copy = _copying("narrow_copy", _narrowed, method=True)
permute_copy, select_copy = _copying("permute_copy", permute), _copying("select_copy", select)
slice_copy, split_copy = _copying("slice_copy", _slice), _copying("split_copy", split)
split_with_sizes_copy = _copying("split_with_sizes_copy", split_with_sizes)
squeeze_copy, unsqueeze_copy = (
    _copying("squeeze_copy", squeeze),
    _copying("unsqueeze_copy", unsqueeze),
)
t_copy, transpose_copy = _copying("t_copy", t), _copying("transpose_copy", transpose)
unbind_copy, unfold_copy = _copying("unbind_copy", unbind), _copying("unfold_copy", unfold)
view_as_complex_copy = _copying("view_as_complex_copy", view_as_complex)
view_as_real_copy = _copying("view_as_real_copy", view_as_real)
view_copy = _copying("view_copy", view)


class UnsafeSplit(Split):
    """Consecutive parts that share memory but may each be written in place."""

    view = False


class UnsafeSplitWithSizes(UnsafeSplit):
    """Parts of given lengths, the same."""


@public(method=True)
def unsafe_split(tensor: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Like `split`, but autograd does not know that the parts share memory."""
    d, lengths = split_lengths(tensor, split_size, dim)
    return UnsafeSplit.apply(tensor, lengths=lengths, dim=d)


@public(method=True)
def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Like `chunk`, but autograd does not know that the parts share memory."""
    d, lengths = chunk_lengths(input, chunks, dim)
    return UnsafeSplit.apply(input, lengths=lengths, dim=d)


@public(method=True)
def unsafe_split_with_sizes(
    input: Tensor, split_sizes: Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Like `split_with_sizes`, but autograd does not know that the parts share memory."""
    split_with_sizes(input, split_sizes, dim)  # for its checks
    lengths = tuple([int(n) for n in split_sizes])
    return UnsafeSplitWithSizes.apply(input, lengths=lengths, dim=input._dim(dim))
