"""PyTorch's path of saving."""

from disttorch.distributed.checkpoint import __getattr__

__all__ = ["__getattr__"]
