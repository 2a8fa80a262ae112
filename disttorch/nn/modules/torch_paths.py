"""PyTorch's module paths, for programs that import a class from the file it has there.

Files here are divided otherwise: `MultiheadAttention`, say, is in `attention`, but programs write
``from torch.nn.modules.activation import MultiheadAttention``.
"""

from __future__ import annotations

import sys

from disttorch.nn.modules import (
    activation,
    attention,
    batchnorm,
    container,
    container_params,
    conv,
    fold,
    instancenorm,
    lazy,
    linear,
    loss,
    loss_linear,
    loss_margin,
    module_state,
    pooling,
    pooling_special,
    sizes,
    sync_batchnorm,
)

# Where PyTorch has them, where they are, and which.
_MOVED = (
    (activation, attention, ("MultiheadAttention",)),
    (batchnorm, lazy, ("LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d")),
    (batchnorm, sync_batchnorm, ("SyncBatchNorm",)),
    (container, container_params, ("ParameterDict", "ParameterList")),
    (conv, lazy, ("LazyConv1d", "LazyConv2d", "LazyConv3d")),
    (conv, lazy, ("LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d")),
    (instancenorm, lazy, ("LazyInstanceNorm1d", "LazyInstanceNorm2d", "LazyInstanceNorm3d")),
    (linear, lazy, ("LazyLinear",)),
    (linear, attention, ("NonDynamicallyQuantizableLinear",)),
    (loss, loss_linear, ("LinearCrossEntropyLoss",)),
    (loss, loss_margin, ("CTCLoss", "CosineEmbeddingLoss", "GaussianNLLLoss")),
    (loss, loss_margin, ("HingeEmbeddingLoss", "MarginRankingLoss", "MultiLabelMarginLoss")),
    (loss, loss_margin, ("MultiLabelSoftMarginLoss", "MultiMarginLoss", "PoissonNLLLoss")),
    (loss, loss_margin, ("SoftMarginLoss", "TripletMarginLoss")),
    (loss, loss_margin, ("TripletMarginWithDistanceLoss",)),
    (pooling, pooling_special, ("FractionalMaxPool2d", "FractionalMaxPool3d")),
    (pooling, pooling_special, ("LPPool1d", "LPPool2d", "LPPool3d")),
    (sizes, module_state, ("consume_prefix_in_state_dict_if_present",)),
    (pooling, pooling_special, ("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d")),
)
_OTHER_NAMES = {
    "adaptive": loss_linear,
    "channelshuffle": fold,
    "linear_cross_entropy": loss_linear,
    "linear_cross_entropy_options": loss_linear,
    "pixelshuffle": fold,
    "utils": sizes,
}


def place(package: str) -> None:
    """Put the classes and modules of `package`, this folder's, where PyTorch has them too."""
    for target, source, class_names in _MOVED:
        for name in class_names:
            setattr(target, name, getattr(source, name))
    for name, module in _OTHER_NAMES.items():
        sys.modules[f"{package}.{name}"] = module
        setattr(sys.modules[package], name, module)
