"""PyTorch's path of `ZeroRedundancyOptimizer`."""

from disttorch.distributed.optim import __getattr__

__all__ = ["__getattr__"]
