"""The `out=` argument: compute as usual, then write the result into the tensor given."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.inplace import OVERLAP, refuse_expanded
from disttorch.dtype import TYPE_NAMES, c_name, can_cast
from disttorch.tensor import Tensor

Fn = TypeVar("Fn", bound=Callable[..., Any])


# What is said of an `out` of another dtype where there is no cast; PyTorch's operators differ.
_DTYPES_DIFFER = "Expected out tensor to have dtype {c_result}, but got {c_out} instead"


def write_out(out: Tensor, result: Tensor, name: str, casts: bool | str = True) -> Tensor:
    """Write `result` into `out`, resized if its shape differs, cast if its dtype does; return it.

    Raises RuntimeError, with PyTorch's texts, if either requires grad, the cast loses a category
    (or, without `casts` or with the text of an error in its place, there is one), or elements of
    `out` share memory; warns when an `out` with elements is resized.
    """
    if STATE.enabled and (out.requires_grad or result.requires_grad):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    if casts is not True and result.dtype is not out.dtype:
        raise RuntimeError(_dtypes_differ(casts or _DTYPES_DIFFER, result, out))
    if not can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"result type {TYPE_NAMES[result.dtype]} can't be cast to the desired output type "
            f"{TYPE_NAMES[out.dtype]}"
        )
    refuse_expanded(out._array)
    if out._array.shape != result._array.shape:
        if out._array.size:
            warnings.warn(_resized(out, result), UserWarning, stacklevel=4)
        out._array = result._array.astype(out._array.dtype)
    else:
        out._array[...] = result._array
    out._cell[0] += 1
    return out


def _dtypes_differ(text: str, result: Tensor, out: Tensor) -> str:
    a, b = result.dtype, out.dtype
    return text.format(result=TYPE_NAMES[a], out=TYPE_NAMES[b], c_result=c_name(a), c_out=c_name(b))


def _resized(out: Tensor, result: Tensor) -> str:
    return (
        "An output with one or more elements was resized since it had shape "
        f"{list(out.shape)}, which does not match the required output shape "
        f"{list(result.shape)}. This behavior is deprecated, and in a future PyTorch release "
        "outputs will not be resized unless they have zero elements. You can explicitly reuse an "
        "out tensor t by resizing it, inplace, to zero elements with t.resize_(0)."
    )


def accepts_out(function: Fn, casts: bool | str = True, shares: bool = True) -> Fn:
    """Give an operator the keyword `out`: a tensor, or a tuple of them for several results.

    `casts`: whether `out` may have another dtype than the result, or what is said of the first
    `out` that has ({result} and {out} stand for the dtypes); `shares`: whether its memory may be
    that of an input.
    """

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        if not keywords:  # the usual case, quickly
            return function(*args)
        out = keywords.pop("out", None)
        result = function(*args, **keywords)
        if out is None:
            return result
        name = function.__name__
        if not shares:
            _refuse_shared(out, args)
        if isinstance(result, Tensor):
            return write_out(out, result, name, casts)
        first, *rest = zip(out, result, strict=True)
        further = casts is True
        written = [write_out(*first, name, casts), *(write_out(*p, name, further) for p in rest)]
        return type(result)(written)

    call.computes = (call, function)  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def without_out(function: Fn) -> Fn:
    """What `function` does where it is given no keywords: without the detour of `accepts_out`."""
    made, computes = getattr(function, "computes", (None, None))
    return computes if made is function else function  # type: ignore[return-value]


def _refuse_shared(out: Any, inputs: tuple[Any, ...]) -> None:
    """Raise PyTorch's error if `out` shares memory with an input."""
    for target in (out,) if isinstance(out, Tensor) else out or ():
        for x in inputs:
            if isinstance(x, Tensor) and x._cell is target._cell and target._array.size:
                if target.backend.shares_memory(x._array, target._array):
                    raise RuntimeError(OVERLAP)


__all__ = ["accepts_out", "without_out", "write_out"]
