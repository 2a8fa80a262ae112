"""Gradients of convolutions by input and by weight, as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from disttorch.backends.window import Window
from disttorch.ops.conv import Correlation, TransposedConvolution
from disttorch.ops.conv_check import Ints, per_dim
from disttorch.tensor import Tensor


def _window(n: int, kernel: Sequence[int], stride: Ints, padding: Ints, dilation: Ints) -> Window:
    return Window(
        tuple(kernel),
        per_dim(stride, n, "stride"),
        per_dim(padding, n, "padding"),
        per_dim(dilation, n, "dilation"),
    )


def _of_rank(n: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Make ``conv{n}d_input`` and ``conv{n}d_weight``."""

    def of_input(
        input_size: Sequence[int],
        weight: Tensor,
        grad_output: Tensor,
        stride: Ints = 1,
        padding: Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
    ) -> Tensor:
        window = _window(n, weight.shape[2:], stride, padding, dilation)
        sizes = tuple(input_size[2:])
        return TransposedConvolution.apply(
            grad_output, weight, None, sizes=sizes, window=window, groups=groups
        )

    def of_weight(
        input: Tensor,
        weight_size: Sequence[int],
        grad_output: Tensor,
        stride: Ints = 1,
        padding: Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
    ) -> Tensor:
        window = _window(n, weight_size[2:], stride, padding, dilation)
        return Correlation.apply(input, grad_output, window=window, groups=groups)

    for function, what in ((of_input, "input"), (of_weight, "weight")):
        function.__name__ = function.__qualname__ = f"conv{n}d_{what}"
        function.__doc__ = f"Return the gradient of conv{n}d by its {what}, given the output's."
    return of_input, of_weight


conv1d_input, conv1d_weight = _of_rank(1)
conv2d_input, conv2d_weight = _of_rank(2)
conv3d_input, conv3d_weight = _of_rank(3)
