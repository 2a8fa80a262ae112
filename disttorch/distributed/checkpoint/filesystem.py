"""PyTorch's path of checkpoint folders."""

from disttorch.distributed.checkpoint import __getattr__

__all__ = ["__getattr__"]
