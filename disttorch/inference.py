"""Marks of tensors made in inference mode: a kind of version cell that refuses to be read.

Where no thread is in inference mode, making a tensor costs one look at an empty set.
"""

from __future__ import annotations

from threading import get_ident
from typing import Any

# Idents of the threads that are in inference mode.
THREADS: set[int] = set()

_SAVED = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in "
    "inference mode in computation tracked by autograd. To work around this, you can make a clone "
    "to get a normal tensor and use it in autograd, or use `torch.no_grad()` instead of "
    "`torch.inference_mode()`."
)
_WRITTEN = (
    "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone "
    "to get a normal tensor before doing inplace update.See "
    "https://github.com/pytorch/rfcs/pull/17 for more details."
)
_ASKED = "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."


class InferenceCell(list[Any]):
    """The version cell of an inference tensor; only a node that saves the tensor reads it."""

    __slots__ = ()

    def __getitem__(self, i: Any) -> Any:
        if i == 0 and get_ident() not in THREADS:
            raise RuntimeError(_SAVED)
        return super().__getitem__(i)


def mark(tensor: Any) -> None:
    """Make a new tensor an inference tensor if this thread is in inference mode."""
    if get_ident() in THREADS:
        tensor._cell = InferenceCell((0, 0))


def refuse_write(cell: list[Any], what: str = "") -> None:
    """Raise PyTorch's error for writing to an inference tensor outside of inference mode.

    `what`: "requires_grad" if that is what was to be written.
    """
    if type(cell) is InferenceCell and get_ident() not in THREADS:
        raise RuntimeError(_ASKED if what else _WRITTEN)


__all__ = ["THREADS", "InferenceCell", "mark", "refuse_write"]
