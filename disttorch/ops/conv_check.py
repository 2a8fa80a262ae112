"""What a convolution's arguments must fulfil, with PyTorch's messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disttorch.backends.window import Sizes
from disttorch.dtype import TYPE_NAMES
from disttorch.tensor import Tensor

Ints = int | Sequence[int]

_CPP_NAMES = {
    **{"Half": "c10::Half", "BFloat16": "c10::BFloat16", "Long": "long int"},
    **{"ComplexFloat": "c10::complex<float>", "ComplexDouble": "c10::complex<double>"},
}


def per_dim(value: Ints, n: int, name: str) -> Sizes:
    """Expand a number (or a list of one) to `n` dimensions; RuntimeError for another length."""
    if isinstance(value, int):
        return (value,) * n
    values = tuple(int(v) for v in value)
    if len(values) == 1:
        return values * n
    if len(values) != n:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {n} values to match the "
            f"convolution dimensions, but got {name}={list(values)}"
        )
    return values


def check_input_rank(input: Tensor, n: int, name: str) -> None:
    """RuntimeError unless `input` is (C, *S) or (N, C, *S) with `n` spatial dimensions."""
    if input.ndim not in (n + 1, n + 2):
        raise RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input "
            f"of size: {list(input.shape)}"
        )


def check_weight_rank(input: Tensor, weight: Tensor) -> None:
    """RuntimeError unless the weight has a kernel, of as many dimensions as the image."""
    if weight.ndim < 3:
        raise RuntimeError("weight should have at least three dimensions")
    if weight.ndim != input.ndim:
        raise RuntimeError(
            f"Expected {weight.ndim}-dimensional input for {weight.ndim}-dimensional "
            f"weight{list(weight.shape)}, but got {input.ndim}-dimensional input of size "
            f"{list(input.shape)} instead"
        )


def check_geometry(stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> None:
    """RuntimeError for numbers that no window can have."""
    if min(stride) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(padding) < 0:
        raise RuntimeError("negative padding is not supported")
    if min(dilation) <= 0:
        given = f", but got {list(dilation)}" if min(dilation) == 0 else ""
        raise RuntimeError(f"dilation should be greater than zero{given}")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")


def check_operands(
    input: Tensor, weight: Tensor, bias: Tensor | None, groups: int, transposed: bool
) -> None:
    """RuntimeError unless channels, bias and dtypes of batched operands fit together."""
    given = f"Given {'transposed=1' if transposed else f'groups={groups}'}, "
    shape = f"weight of size {list(weight.shape)}, "
    if weight.shape[0] < groups or weight.shape[0] % groups:
        wanted = "at least" if weight.shape[0] < groups else "divisible by"
        sizes = list(weight.shape) if weight.shape[0] < groups else [list(weight.shape)]
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be {wanted} {groups} at dimension 0, "
            f"but got weight of size {sizes} instead"
        )
    n_in = weight.shape[0] if transposed else weight.shape[1] * groups
    n_out = weight.shape[1] * groups if transposed else weight.shape[0]
    if input.shape[1] != n_in:
        raise RuntimeError(
            f"{given}{shape}expected input{list(input.shape)} to have {n_in} channels, but got "
            f"{input.shape[1]} channels instead"
        )
    if bias is not None and bias.shape != (n_out,):
        raise RuntimeError(
            f"Given {'transposed=1, ' if transposed else ''}{shape}expected bias to be "
            f"1-dimensional with {n_out} elements, but got bias of size {list(bias.shape)} instead"
        )
    _check_dtypes(input, weight, bias)


def _check_dtypes(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    x, w = TYPE_NAMES[input.dtype], TYPE_NAMES[weight.dtype]
    if bias is not None and bias.dtype != input.dtype:
        x, b = (_CPP_NAMES.get(n, n.lower()) for n in (x, TYPE_NAMES[bias.dtype]))
        raise RuntimeError(f"Input type ({x}) and bias type ({b}) should be the same")
    if x != w:
        raise RuntimeError(f"expected scalar type {x} but found {w}")


def check_kernel_fits(input: Tensor, kernel: Sizes, padding: Sizes, dilation: Sizes) -> None:
    """RuntimeError if the dilated kernel is larger than the padded input in some dimension."""
    available = [n + 2 * p for n, p in zip(input.shape[2:], padding, strict=True)]
    needed = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if any(k > n for k, n in zip(needed, available, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({crossed(available)}). Kernel size: "
            f"({crossed(needed)}). Kernel size can't be greater than actual input size"
        )


def check_transposed_sizes(
    input: Tensor, out_sizes: Sizes, output_padding: Sizes, stride: Sizes, dilation: Sizes
) -> None:
    """RuntimeError for an output padding that no input explains, or an empty output."""
    if any(o >= s and o >= d for o, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise RuntimeError(
            "output padding must be smaller than either stride or dilation, but got "
            + _by_axis(
                output_padding=_as_image(output_padding, 0),
                stride=_as_image(stride, 1),
                dilation=_as_image(dilation, 1),
            )
        )
    if min(out_sizes) <= 0:
        before, after = (crossed(_as_image(tuple(s), 1)) for s in (input.shape[2:], out_sizes))
        raise RuntimeError(
            f"Given input size per channel: ({before}). Calculated output size per channel: "
            f"({after}). Output size is too small"
        )


def _as_image(sizes: Sizes, height: int) -> Sizes:
    """PyTorch's transposed convolution speaks of one dimension as of a row of an image."""
    return (height, *sizes) if len(sizes) == 1 else sizes


def _by_axis(**sizes: Sizes) -> str:
    """Spell sizes the way PyTorch does: ``stride_height: 1 stride_width: 1``."""
    axes = ("depth", "height", "width")
    return " ".join(
        f"{name}_{axis}: {value}"
        for name, values in sizes.items()
        for axis, value in zip(axes[-len(values) :], values, strict=True)
    )


def crossed(sizes: Sequence[Any]) -> str:
    """Join sizes as PyTorch's messages do: ``3 x 3``."""
    return " x ".join(str(n) for n in sizes)
