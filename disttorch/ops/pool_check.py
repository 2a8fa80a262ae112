"""Arguments of pooling functions: expanded, checked with PyTorch's messages, sizes computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from disttorch.backends.window import Sizes, Window
from disttorch.tensor import Tensor

Ints = int | Sequence[int]
_COUNTS = {1: "one int", 2: "two ints", 3: "three ints"}


@dataclass(frozen=True)
class Pooling:
    """A checked pooling: its window and the spatial sizes of its output."""

    window: Window
    out_sizes: Sizes


def per_dim(value: Ints, n: int, name: str, function: str) -> Sizes:
    """Expand a number to `n` dimensions; RuntimeError for a list of another length."""
    values = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    if len(values) not in (1, n):
        raise RuntimeError(
            f"{function}: {name} must either be a single int, or a tuple of {_COUNTS[n]}"
        )
    return values * n if len(values) == 1 else values


def pooling(
    input: Tensor,
    function: str,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> Pooling:
    """Check the arguments of the pooling `function`, named as in PyTorch with its rank.

    RuntimeError if they clash.
    """
    n = next(int(c) for c in function if c.isdigit())
    kernel = per_dim(kernel_size, n, "kernel_size", function)
    # PyTorch's schema makes an absent stride an empty list.
    steps = kernel if stride in (None, (), []) else per_dim(stride, n, "stride", function)
    pads = per_dim(padding, n, "padding", function)
    spread = per_dim(dilation, n, "dilation", function)
    if function == "max_pool1d":
        check_rank(input, n, function)
    for name, numbers in (("kernel_size", kernel), ("stride", steps), ("dilation", spread)):
        if function == "max_pool1d" and min(numbers) <= 0:
            raise RuntimeError(
                f"max_pool1d() {name} must be greater than zero, but got {numbers[0]}"
            )
    if min(steps) == 0 or min(kernel) == 0:
        raise RuntimeError("stride should not be zero")
    if min(spread) <= 0:
        names = ("T", "H", "W")[-n:] if n > 1 else ("",)
        given = " ".join(f"dilation{a}: {d}" for a, d in zip(names, spread, strict=True))
        raise RuntimeError(f"dilation should be greater than zero, but got {given}")
    _check_padding(function, kernel, pads, spread)
    check_rank(input, n, function)
    window = Window(kernel, steps, pads, spread)
    out_sizes = _output_sizes(input.shape[-n:], window, ceil_mode)
    _check_output(input, function, kernel, out_sizes)
    return Pooling(window, out_sizes)


# How PyTorch's messages call its pooling of volumes.
_VOLUMES = {"max_pool3d": "max_pool3d_with_indices_out_cpu_template", "avg_pool3d": "avg_pool3d"}


def check_rank(input: Tensor, n: int, function: str) -> None:
    """RuntimeError unless `input` is (C, *S) or (N, C, *S), with only the batch ever empty."""
    rank, shape = input.ndim, list(input.shape)
    if rank not in (n + 1, n + 2):
        if n == 1 and not function.startswith("max"):
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {rank}-dimensional tensor for argument #1 "
                f"'self' (while checking arguments for {function})"
            )
        if n == 1:
            raise RuntimeError(
                "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size "
                f"for input, but got:{shape}"
            )
        raise RuntimeError(f"non-empty {n + 1}D or {n + 2}D (batch mode) tensor expected for input")
    if 0 in shape[1 if rank == n + 2 else 0 :]:
        if n == 3 and function in _VOLUMES:
            raise RuntimeError(
                f"{_VOLUMES[function]}(): Expected input's non-batch dimensions to have positive "
                f"length, but input has a shape of {shape} and non-batch dimension 0 has length "
                "zero!"
            )
        name = f"{function}: " if n == 1 else ""
        raise RuntimeError(
            f"{name}Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch "
            f"size for input, but got:{shape}"
        )


def _check_padding(function: str, kernel: Sizes, padding: Sizes, dilation: Sizes) -> None:
    """RuntimeError for padding beyond half a kernel, which some window would have nothing but."""
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if function == "max_pool1d":
            if p > k // 2:
                raise RuntimeError(
                    f"max_pool1d() padding should be at most half of kernel size, but got "
                    f"padding={p} and kernel_size={k}"
                )
        elif p > (d * (k - 1) + 1) // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation={d}"
            )
    if any(p > k // 2 for k, p in zip(kernel, padding, strict=True)):
        raise RuntimeError(
            "pad should be smaller than or equal to half of kernel size, but got "
            + _spelled(kernel, padding)
        )


def _spelled(kernel: Sizes, padding: Sizes) -> str:
    """Spell kernel and padding as PyTorch does; one dimension counts as a row of an image."""
    if len(kernel) == 3:
        return "kT: {} kW: {} kH: {} padT: {} padW: {} padH: {}".format(
            *(kernel[i] for i in (0, 2, 1)), *(padding[i] for i in (0, 2, 1))
        )
    (k_h, k_w), (p_h, p_w) = ((1, *kernel)[-2:], (0, *padding)[-2:])
    return f"padW = {p_w}, padH = {p_h}, kW = {k_w}, kH = {k_h}"


def _output_sizes(sizes: Sequence[int], window: Window, ceil_mode: bool) -> Sizes:
    if not ceil_mode:
        return window.outputs(tuple(sizes))
    out = []
    for n, k, s, p, d in zip(
        sizes, window.kernel, window.stride, window.padding, window.dilation, strict=True
    ):
        n_out = (n + 2 * p - d * (k - 1) - 1 + s - 1) // s + 1
        # The last window must start inside the image or its left padding.
        out.append(n_out - 1 if (n_out - 1) * s >= n + p else n_out)
    return tuple(out)


def _check_output(input: Tensor, function: str, kernel: Sizes, out_sizes: Sizes) -> None:
    n = len(out_sizes)
    image_fits = all(k <= s for k, s in zip(kernel, input.shape[-n:], strict=True))
    if min(out_sizes) > 0 and (image_fits or function != "avg_pool3d"):
        return
    if function == "max_pool1d":
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {out_sizes[0]}")
    if function == "avg_pool3d":
        have = " ".join(f"{a}: {s}" for a, s in zip("THW", input.shape[-3:], strict=True))
        want = " ".join(f"k{a}: {k}" for a, k in zip("THW", kernel, strict=True))
        raise RuntimeError(f"input image ({have}) smaller than kernel size ({want})")
    channels = (input.shape[-n - 1], *((1,) if n == 1 else ()))
    before, after = (
        "x".join(str(v) for v in (*channels, *s)) for s in (input.shape[-n:], out_sizes)
    )
    raise RuntimeError(
        f"Given input size: ({before}). Calculated output size: ({after}). Output size is too small"
    )
