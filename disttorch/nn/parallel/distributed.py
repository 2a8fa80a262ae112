"""PyTorch's path of `DistributedDataParallel`."""

from disttorch.nn.parallel.ddp import DistributedDataParallel
from disttorch.nn.parallel.mixed_precision import _MixedPrecision

__all__ = ["DistributedDataParallel", "_MixedPrecision"]
