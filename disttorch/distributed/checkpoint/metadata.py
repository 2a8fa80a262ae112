"""PyTorch's path of a checkpoint's table of contents."""

from disttorch.distributed.checkpoint import __getattr__

__all__ = ["__getattr__"]
