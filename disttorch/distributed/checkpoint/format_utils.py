"""PyTorch's path of conversion from and to single files."""

from disttorch.distributed.checkpoint import __getattr__

__all__ = ["__getattr__"]
