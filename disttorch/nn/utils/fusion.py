"""Batch norms folded into the layer before them, for inference."""

from __future__ import annotations

import copy
from typing import Any

from disttorch.nn.modules.module import Module
from disttorch.nn.parameter import Parameter
from disttorch.ops.create_fill import ones_like, zeros_like
from disttorch.tensor import Tensor

Fused = tuple[Parameter, Parameter]


def _fused(layer: Module, bn: Module, weights: Any, *options: Any) -> Module:
    """A copy of `layer` that does what both do in evaluation mode."""
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    fused = copy.deepcopy(layer)
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    statistics = (bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    fused.weight, fused.bias = weights(fused.weight, fused.bias, *statistics, *options)
    return fused


def fuse_conv_bn_eval(conv: Module, bn: Module, transpose: bool = False) -> Module:
    """Return a convolution that does what `conv` and then `bn` do; both in evaluation mode."""
    return _fused(conv, bn, fuse_conv_bn_weights, transpose)


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> Fused:
    """Return weight (out, in, *) and bias (out) that include a batch norm's scale and shift.

    With `transpose` the weight is (in, out, *).
    """
    bias = zeros_like(bn_rm) if conv_b is None else conv_b
    bias_dtype = conv_w.dtype if conv_b is None else conv_b.dtype
    scale = (bn_rv + bn_eps).rsqrt()
    gain = ones_like(bn_rm) if bn_w is None else bn_w
    shift = zeros_like(bn_rm) if bn_b is None else bn_b
    channels = [1, -1] if transpose else [-1, 1]
    shape = channels + [1] * (conv_w.dim() - 2)
    weight = (conv_w * (gain * scale).reshape(shape)).to(conv_w.dtype)
    fused_bias = ((bias - bn_rm) * scale * gain + shift).to(bias_dtype)
    return (
        Parameter(weight.detach(), conv_w.requires_grad),
        Parameter(fused_bias.detach(), bias.requires_grad),
    )


def fuse_linear_bn_eval(linear: Module, bn: Module) -> Module:
    """Return a linear layer that does what `linear` and then `bn` do; both in evaluation mode."""
    if linear.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    return _fused(linear, bn, fuse_linear_bn_weights)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor,
    bn_b: Tensor,
) -> Fused:
    """Return weight (out, in) and bias (out) that include a batch norm's scale and shift."""
    bias = zeros_like(bn_rm) if linear_b is None else linear_b
    bias_dtype = linear_w.dtype if linear_b is None else linear_b.dtype
    scale = bn_w * (bn_rv + bn_eps).rsqrt()
    weight = linear_w * scale.unsqueeze(-1).to(linear_w.dtype)
    fused_bias = ((bias - bn_rm) * scale + bn_b).to(bias_dtype)
    return (
        Parameter(weight.detach(), linear_w.requires_grad),
        Parameter(fused_bias.detach(), bias.requires_grad),
    )
