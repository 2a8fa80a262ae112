"""`disttorch.autograd.graph`: nodes, their hooks, and hooks on saved tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.node import Node
from disttorch.autograd.saved import SAVED_HOOKS
from disttorch.tensor import Tensor

__all__ = ["Node", "save_on_cpu", "saved_tensors_hooks"]


class saved_tensors_hooks:
    """Context in which saved tensors pass through `pack_hook` and come back by `unpack_hook`."""

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self._pair = (pack_hook, unpack_hook)

    def __enter__(self) -> None:
        SAVED_HOOKS.append(self._pair)

    def __exit__(self, *_: object) -> None:
        SAVED_HOOKS.pop()


class save_on_cpu(saved_tensors_hooks):
    """Keep saved tensors in host memory until backward needs them."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda t: (t.device, t.cpu()), lambda packed: packed[1].to(packed[0]))
