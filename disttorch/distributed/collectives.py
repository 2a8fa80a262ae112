"""Collectives on Tensors: PyTorch's names and argument order over `comm`'s arrays.

All work in place on the memory of their output tensors, of which autograd is told through the
version counter. With ``async_op=True`` they return a `Work`; otherwise None. Roots and peers are
global ranks. On ranks outside of `group` nothing happens and None is returned, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from disttorch.comm.errors import CollectiveTimeoutError
from disttorch.comm.reduce_op import ReduceOp, Reduction
from disttorch.comm.work import Work
from disttorch.distributed.world import GroupMember, get_group_rank, resolve_group, seconds
from disttorch.tensor import Tensor

Group = Any


def _outside(group: Group) -> bool:
    return group is GroupMember.NON_GROUP_MEMBER


def _check_tensor(tensor: Any, name: str) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor\n"
            f"             but got {type(tensor)} instead."
        )


def _check_tensors(tensors: Any, name: str) -> None:
    if not isinstance(tensors, (list, tuple)) or not all(isinstance(t, Tensor) for t in tensors):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor]\n"
            f"             but got {type(tensors)} with elements of type "
            f"{[type(t) for t in tensors] if hasattr(tensors, '__iter__') else '-'}."
        )


def _written(*tensors: Tensor) -> None:
    """Tell autograd that tensors are being overwritten."""
    for tensor in tensors:
        tensor._cell[0] += 1


def _handle(work: Work | None, *outputs: Tensor) -> Work | None:
    """The handle, whose future's value is the list of outputs."""
    if work is not None:
        work.outputs = list(outputs)
    return work


def _root(group: Group, root: int | None, group_root: int | None, default: int | None) -> int:
    """Group rank of the root, given as a global rank or as a group rank."""
    if group_root is not None:
        if root is not None:
            raise ValueError("Can't specify both group_src and src")
        return group_root
    if root is None:
        if default is None:
            raise ValueError("Must specify src or group_src")
        root = default
    return get_group_rank(group, root)


def all_reduce(
    tensor: Tensor, op: Reduction = ReduceOp.SUM, group: Group = None, async_op: bool = False
) -> Work | None:
    """Reduce `tensor` over all ranks, in place; every rank gets the same bits."""
    _check_tensor(tensor, "tensor")
    if _outside(group):
        return None
    _written(tensor)
    return _handle(resolve_group(group).all_reduce(tensor._array, op, async_op=async_op), tensor)


def broadcast(
    tensor: Tensor,
    src: int | None = None,
    group: Group = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Overwrite `tensor` on all ranks with that of `src`."""
    _check_tensor(tensor, "tensor")
    if _outside(group):
        return None
    root = _root(group, src, group_src, None)
    _written(tensor)
    work = resolve_group(group).broadcast(tensor._array, root, async_op=async_op)
    return _handle(work, tensor)


def reduce(
    tensor: Tensor,
    dst: int | None = None,
    op: Reduction = ReduceOp.SUM,
    group: Group = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Reduce over all ranks into the `tensor` of `dst`."""
    _check_tensor(tensor, "tensor")
    if _outside(group):
        return None
    root = _root(group, dst, group_dst, None)
    _written(tensor)
    work = resolve_group(group).reduce(tensor._array, root, op, async_op=async_op)
    return _handle(work, tensor)


def all_gather(
    tensor_list: Sequence[Tensor], tensor: Tensor, group: Group = None, async_op: bool = False
) -> Work | None:
    """Copy the `tensor` of rank r into ``tensor_list[r]`` on all ranks."""
    _check_tensors(tensor_list, "tensor_list")
    _check_tensor(tensor, "tensor")
    if _outside(group):
        return None
    _written(*tensor_list)
    outputs = [t._array for t in tensor_list]
    work = resolve_group(group).all_gather(outputs, tensor._array, async_op=async_op)
    return _handle(work, *tensor_list)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Group = None, async_op: bool = False
) -> Work | None:
    """Copy the inputs of all ranks one after another into `output_tensor`."""
    _check_tensor(output_tensor, "output_tensor")
    _check_tensor(input_tensor, "input_tensor")
    if _outside(group):
        return None
    _written(output_tensor)
    own = resolve_group(group)
    work = own.all_gather_into(output_tensor._array, input_tensor._array, async_op=async_op)
    return _handle(work, output_tensor)


def gather(
    tensor: Tensor,
    gather_list: Sequence[Tensor] | None = None,
    dst: int | None = None,
    group: Group = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Copy the `tensor` of rank r into ``gather_list[r]`` on `dst`; the others pass no list."""
    _check_tensor(tensor, "tensor")
    if _outside(group):
        return None
    own, root = resolve_group(group), _root(group, dst, group_dst, 0)
    if own.rank != root:
        if gather_list:
            raise ValueError(
                "Argument ``gather_list`` must NOT be specified on non-destination ranks."
            )
        return _handle(own.gather(tensor._array, None, root, async_op=async_op))
    if gather_list is None:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    _check_tensors(gather_list, "gather_list")
    _written(*gather_list)
    outputs = [t._array for t in gather_list]
    return _handle(own.gather(tensor._array, outputs, root, async_op=async_op), *gather_list)


def scatter(
    tensor: Tensor,
    scatter_list: Sequence[Tensor] | None = None,
    src: int | None = None,
    group: Group = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Copy ``scatter_list[r]`` of `src` into the `tensor` of rank r; the others pass no list."""
    _check_tensor(tensor, "tensor")
    if _outside(group):
        return None
    own, root = resolve_group(group), _root(group, src, group_src, 0)
    _written(tensor)
    if own.rank != root:
        if scatter_list:
            raise ValueError("Argument ``scatter_list`` must NOT be specified on non-source ranks.")
        return _handle(own.scatter(tensor._array, None, root, async_op=async_op), tensor)
    if scatter_list is None:
        raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
    _check_tensors(scatter_list, "scatter_list")
    inputs = [t._array for t in scatter_list]
    return _handle(own.scatter(tensor._array, inputs, root, async_op=async_op), tensor)


def reduce_scatter(
    output: Tensor,
    input_list: Sequence[Tensor],
    op: Reduction = ReduceOp.SUM,
    group: Group = None,
    async_op: bool = False,
) -> Work | None:
    """Reduce ``input_list[r]`` of all ranks into the `output` of rank r."""
    _check_tensor(output, "output")
    _check_tensors(input_list, "input_list")
    if _outside(group):
        return None
    _written(output)
    inputs = [t._array for t in input_list]
    work = resolve_group(group).reduce_scatter(output._array, inputs, op, async_op=async_op)
    return _handle(work, output)


def reduce_scatter_tensor(
    output: Tensor,
    input: Tensor,
    op: Reduction = ReduceOp.SUM,
    group: Group = None,
    async_op: bool = False,
) -> Work | None:
    """Reduce the r-th equal part of all ranks' `input` into the `output` of rank r."""
    _check_tensor(output, "output")
    _check_tensor(input, "input")
    if _outside(group):
        return None
    _written(output)
    own = resolve_group(group)
    work = own.reduce_scatter_from(output._array, input._array, op, async_op=async_op)
    return _handle(work, output)


def all_to_all(
    output_tensor_list: Sequence[Tensor],
    input_tensor_list: Sequence[Tensor],
    group: Group = None,
    async_op: bool = False,
) -> Work | None:
    """Copy ``input_tensor_list[r]`` of rank s into ``output_tensor_list[s]`` of rank r."""
    _check_tensors(output_tensor_list, "output_tensor_list")
    _check_tensors(input_tensor_list, "input_tensor_list")
    if _outside(group):
        return None
    _written(*output_tensor_list)
    outputs = [t._array for t in output_tensor_list]
    inputs = [t._array for t in input_tensor_list]
    work = resolve_group(group).all_to_all(outputs, inputs, async_op=async_op)
    return _handle(work, *output_tensor_list)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: Group = None,
    async_op: bool = False,
) -> Work | None:
    """Copy part r of rank s's `input` into part s of rank r's `output`.

    Parts are equal, or have the given numbers of rows of the first dimension.
    """
    _check_tensor(output, "output")
    _check_tensor(input, "input")
    if _outside(group):
        return None
    _written(output)
    sizes = (output_split_sizes, input_split_sizes)
    own = resolve_group(group)
    work = own.all_to_all_single(output._array, input._array, *sizes, async_op=async_op)
    return _handle(work, output)


def barrier(group: Group = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Return on no rank before all ranks have come here."""
    return None if _outside(group) else resolve_group(group).barrier(async_op=async_op)


def monitored_barrier(
    group: Group = None, timeout: timedelta | float | None = None, wait_all_ranks: bool = False
) -> None:
    """Barrier whose RuntimeError names all ranks that did not come within `timeout`."""
    if _outside(group):
        return
    own, timeout_s = resolve_group(group), seconds(timeout)
    try:
        own.barrier(timeout_s=timeout_s)
    except CollectiveTimeoutError as error:
        waited_ms = round(1000 * (own.timeout_s if timeout_s is None else timeout_s))
        names = ", ".join(map(str, error.ranks))
        raise CollectiveTimeoutError(
            f"[Rank {own.rank}]: Ranks {names} failed to pass monitoredBarrier in {waited_ms} ms. "
            f"{error}",
            error.ranks,
        ) from None
