"""`disttorch.utils.hooks`: where PyTorch's programs find `RemovableHandle`."""

from disttorch.autograd.node import RemovableHandle

__all__ = ["RemovableHandle"]
