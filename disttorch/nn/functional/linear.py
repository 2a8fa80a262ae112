"""Products of inputs with weights, beyond the linear map."""

from __future__ import annotations

from typing import Any

from disttorch.ops.conv import conv1d
from disttorch.ops.matmul_einsum import einsum
from disttorch.tensor import Tensor


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Tensor:
    """x1 @ weight[k] @ x2 + bias[k]: (*, I1), (*, I2) and weight (O, I1, I2) -> (*, O).

    RuntimeError for sizes that do not fit.
    """
    if input1.ndim != input2.ndim:
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {input1.ndim} and {input2.ndim}"
        )
    for d in range(input1.ndim - 1):
        if input1.shape[d] != input2.shape[d]:
            raise RuntimeError(
                "bilinear(): input batch dimensions do not match at dim "
                f"{d}: got {input1.shape[d]} and {input2.shape[d]}"
            )
    for k, x in ((1, input1), (2, input2)):
        if x.shape[-1] != weight.shape[k]:
            raise RuntimeError(
                f"bilinear(): input{k} size does not match weight size: got {x.shape[-1]} but "
                f"expected {weight.shape[k]}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected "
            f"{weight.shape[0]}"
        )
    y: Any = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias


def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Tensor:
    """Convolve input (T, N, C) over time with weight (kernel, C, O), plus bias (O,)."""
    y: Any = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return y.permute(2, 0, 1)
