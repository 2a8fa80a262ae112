"""The type names that PyTorch's error texts show."""

from __future__ import annotations

from typing import Any

from disttorch.tensor import Tensor


def typename(value: Any) -> str:
    """Return ``torch.FloatTensor`` for tensors, the qualified class name without builtins else."""
    if isinstance(value, Tensor):
        return str(value.type())
    kind = value if isinstance(value, type) else type(value)
    prefix = "" if kind.__module__ in ("builtins", "__builtin__") else kind.__module__ + "."
    return prefix + kind.__qualname__
