"""PyTorch's path of `PostLocalSGDOptimizer`."""

from disttorch.distributed.optim import __getattr__

__all__ = ["__getattr__"]
