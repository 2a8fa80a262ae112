"""What communication hooks of `DistributedDataParallel` are given: gradients that go together."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from disttorch.tensor import Tensor


class BuiltinCommHookType(Enum):
    """Hooks that `DistributedDataParallel._register_builtin_comm_hook` knows by name."""

    ALLREDUCE = 0
    FP16_COMPRESS = 1


class GradBucket:
    """The gradients of some parameters, of one dtype, in one flat tensor.

    `buffer` may hold padding between gradients, zero on all ranks
    (https://docs.pytorch.org/docs/stable/ddp_comm_hooks.html#torch.distributed.GradBucket).
    """

    def __init__(
        self,
        index: int,
        buffer: Tensor,
        gradients: Sequence[Tensor],
        parameters: Sequence[Tensor],
        is_last: bool,
    ) -> None:
        self._index = index
        self._buffer = buffer
        self._gradients = list(gradients)
        self._parameters = list(parameters)
        self._is_last = is_last

    def index(self) -> int:
        """Return the bucket's number; 0 is the first to be reduced."""
        return self._index

    def buffer(self) -> Tensor:
        """Return the flat tensor with all gradients, in memory that the ranks share."""
        return self._buffer

    def gradients(self) -> list[Tensor]:
        """Return the gradients in their parameters' shapes: views of `buffer`."""
        return list(self._gradients)

    def parameters(self) -> list[Tensor]:
        """Return the parameters, in the order of `gradients`."""
        return list(self._parameters)

    def is_last(self) -> bool:
        """Return whether no bucket of this backward pass follows."""
        return self._is_last

    def set_buffer(self, buffer: Tensor) -> None:
        """Let `buffer` return another tensor."""
        self._buffer = buffer
