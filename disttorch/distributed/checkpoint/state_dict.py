"""PyTorch's path of states by parameter names."""

from disttorch.distributed.checkpoint import __getattr__

__all__ = ["__getattr__"]
