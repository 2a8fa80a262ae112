"""PyTorch's path of objects that stand for their state."""

from disttorch.distributed.checkpoint import __getattr__

__all__ = ["__getattr__"]
