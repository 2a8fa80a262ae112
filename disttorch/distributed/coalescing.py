"""Collectives on several tensors as one, and PyTorch's way of saying several at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from disttorch.comm.reduce_op import PremulSum, ReduceOp, Reduction
from disttorch.comm.work import Work
from disttorch.distributed.arguments import check_dtypes, check_tensors, outside
from disttorch.distributed.collectives import Group, all_gather
from disttorch.distributed.own_group import together as _together
from disttorch.distributed.own_group import written as _written
from disttorch.distributed.world import resolve_group
from disttorch.tensor import Tensor


def all_reduce_coalesced(
    tensors: Sequence[Tensor],
    op: Reduction = ReduceOp.SUM,
    group: Group = None,
    async_op: bool = False,
) -> Work | None:
    """Reduce several tensors of one dtype over all ranks, in place, as one collective."""
    check_tensors(tensors, "tensors")
    if outside(group):
        return None
    own = resolve_group(group)
    if tensors:
        check_dtypes(*tensors)
    _written(*tensors)
    if async_op:
        works = [own.all_reduce(tensor._array, op, async_op=True) for tensor in tensors]
        return _together(works, tensors)
    arrays = [tensor._array for tensor in tensors]
    if arrays:
        flat = np.concatenate([array.reshape(-1) for array in arrays])
        own.all_reduce(flat, op)
        for array, end in zip(arrays, np.cumsum([a.size for a in arrays]), strict=True):
            array[...] = flat[end - array.size : end].reshape(array.shape)
    return None


def all_gather_coalesced(
    output_tensor_lists: Sequence[Sequence[Tensor]],
    input_tensor_list: Sequence[Tensor],
    group: Group = None,
    async_op: bool = False,
) -> Work | None:
    """Gather several tensors: ``output_tensor_lists[r][i]`` is tensor i of rank r."""
    works = [
        all_gather([outputs[i] for outputs in output_tensor_lists], tensor, group, async_op)
        for i, tensor in enumerate(input_tensor_list)
    ]
    return _together(works, (tensor for outputs in output_tensor_lists for tensor in outputs))


class CoalescingManager:
    """The handle of a `_coalescing_manager` block."""

    def __init__(self) -> None:
        self.works: list[Any] = []

    def append(self, work: Any) -> None:
        """Add a handle to wait for."""
        if work is not None:
            self.works.append(work)

    def wait(self) -> None:
        """Wait for all handles."""
        for work in self.works:
            work.wait()


@contextmanager
def _coalescing_manager(
    group: Group = None, device: Any = None, async_ops: bool = False
) -> Iterator[CoalescingManager]:
    """Run the collectives in the block, each when it is called; their order is their coalescing."""
    manager = CoalescingManager()
    yield manager
    if not async_ops:
        manager.wait()


def _make_nccl_premul_sum(factor: float | Tensor) -> PremulSum:
    """ReduceOp.PREMUL_SUM with its factor, under PyTorch's name."""
    return PremulSum(float(factor.item() if isinstance(factor, Tensor) else factor))


premul_sum = _make_nccl_premul_sum
