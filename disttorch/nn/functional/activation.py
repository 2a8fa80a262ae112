"""Activations: the operators, with the `inplace` argument that PyTorch's functionals have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from disttorch.autograd.inplace import inplace_variant
from disttorch.ops import activation, activation_random, activation_smooth
from disttorch.ops.pointwise_special import sigmoid
from disttorch.tensor import Tensor


def _with_inplace(function: Callable[..., Tensor]) -> tuple[Callable[..., Tensor], ...]:
    """Return the function with a last argument `inplace`, and its in-place form."""
    in_place = inplace_variant(function)
    signature = inspect.signature(function)
    n_settings = len(signature.parameters) - 1

    def plain(input: Tensor, inplace: bool = False) -> Tensor:
        return in_place(input) if inplace else function(input)

    def with_settings(input: Tensor, *args: Any, inplace: bool = False, **keywords: Any) -> Tensor:
        if len(args) > n_settings:
            *args, inplace = args  # type: ignore[assignment]
        return (in_place if inplace else function)(input, *args, **keywords)

    activate = functools.wraps(function)(with_settings if n_settings else plain)
    flag = inspect.Parameter("inplace", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False)
    settings = [
        p.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for p in signature.parameters.values()
    ]
    activate.__module__ = __name__  # where pickle finds it
    activate.__signature__ = signature.replace(parameters=[*settings, flag])  # type: ignore[attr-defined]
    return activate, in_place


relu, relu_ = _with_inplace(activation.relu)
relu6, _ = _with_inplace(activation.relu6)
hardtanh, hardtanh_ = _with_inplace(activation.hardtanh)
leaky_relu, leaky_relu_ = _with_inplace(activation.leaky_relu)
threshold, threshold_ = _with_inplace(activation.threshold)
hardsigmoid, _ = _with_inplace(activation.hardsigmoid)
hardswish, _ = _with_inplace(activation.hardswish)
elu, elu_ = _with_inplace(activation_smooth.elu)
celu, celu_ = _with_inplace(activation_smooth.celu)
selu, selu_ = _with_inplace(activation_smooth.selu)
silu, _ = _with_inplace(activation_smooth.silu)
mish, _ = _with_inplace(activation_smooth.mish)
prelu, hardshrink, softshrink = activation.prelu, activation.hardshrink, activation.softshrink
gelu, logsigmoid = activation_smooth.gelu, activation_smooth.logsigmoid
softplus, softsign = activation_smooth.softplus, activation_smooth.softsign
tanhshrink = activation_smooth.tanhshrink
rrelu_ = activation_random.rrelu_


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Return a * sigmoid(b) for the two halves a, b of `input` along `dim`.

    RuntimeError for a 0-d input or an odd length.
    """
    if input.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    d = input._dim(dim)
    n = input.shape[d]
    if n % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {d} is size {n}")
    half = (slice(None),) * d
    return input[(*half, slice(0, n // 2))] * sigmoid(input[(*half, slice(n // 2, n))])


def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Leaky ReLU with a slope drawn for each negative element from [lower, upper) if `training`.

    Otherwise with the mean slope.
    """
    return (rrelu_ if inplace else activation_random.rrelu)(input, lower, upper, training)
