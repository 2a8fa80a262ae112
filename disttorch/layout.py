"""Memory formats and layouts under PyTorch's names."""

from __future__ import annotations


class _Named:
    """A constant that prints as ``torch.<name>`` and pickles to itself."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class memory_format(_Named):
    """How the dimensions of a dense tensor lie in memory."""


class layout(_Named):
    """How a tensor stores its elements."""


contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
preserve_format = memory_format("preserve_format")
strided = layout("strided")


def memory_order(chosen: memory_format, ndim: int) -> tuple[int, ...]:
    """Dimensions from outermost to innermost in memory; RuntimeError if `ndim` does not fit."""
    if chosen is channels_last or chosen is channels_last_3d:
        rank = 4 if chosen is channels_last else 5
        if ndim != rank:
            raise RuntimeError(f"required rank {rank} tensor to use {chosen.name} format")
        return (0, *range(2, rank), 1)
    return tuple(range(ndim))
