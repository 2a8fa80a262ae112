"""PyTorch's path of the options of saving and loading."""

from disttorch.distributed.checkpoint import __getattr__

__all__ = ["__getattr__"]
