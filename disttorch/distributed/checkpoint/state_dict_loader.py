"""PyTorch's path of loading."""

from disttorch.distributed.checkpoint import __getattr__

__all__ = ["__getattr__"]
