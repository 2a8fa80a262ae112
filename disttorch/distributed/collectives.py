"""Collectives on Tensors: PyTorch's names and argument order over `comm`'s arrays.

All work in place on the memory of their output tensors, of which autograd is told through the
version counter. With ``async_op=True`` they return a `Work`; otherwise None. Roots and peers are
global ranks. On ranks outside of `group` nothing happens and None is returned, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from disttorch.comm.reduce_op import ReduceOp, Reduction
from disttorch.comm.work import Work
from disttorch.distributed import own_group
from disttorch.distributed.arguments import (
    check_blocks,
    check_count,
    check_dtypes,
    check_reduction,
    check_shapes,
    check_tensor,
    check_tensors,
    outside,
    root_of,
)
from disttorch.distributed.own_group import handle as _handle
from disttorch.distributed.own_group import written as _written
from disttorch.distributed.world import resolve_group, seconds
from disttorch.tensor import Tensor

Group = Any


def all_reduce(
    tensor: Tensor, op: Reduction = ReduceOp.SUM, group: Group = None, async_op: bool = False
) -> Work | None:
    """Reduce `tensor` over all ranks, in place; every rank gets the same bits."""
    check_tensor(tensor, "tensor")
    if outside(group):
        return None
    check_reduction(op, tensor, "all_reduce")
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
    check_tensor(tensor, "tensor")
    if outside(group):
        return None
    root = root_of(group, src, group_src, None)
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
    check_tensor(tensor, "tensor")
    if outside(group):
        return None
    root = root_of(group, dst, group_dst, None)
    check_reduction(op, tensor, "reduce")
    _written(tensor)
    work = resolve_group(group).reduce(tensor._array, root, op, async_op=async_op)
    return _handle(work, tensor)


def all_gather(
    tensor_list: Sequence[Tensor], tensor: Tensor, group: Group = None, async_op: bool = False
) -> Work | None:
    """Copy the `tensor` of rank r into ``tensor_list[r]`` on all ranks."""
    check_tensors(tensor_list, "tensor_list")
    check_tensor(tensor, "tensor")
    if outside(group):
        return None
    own = resolve_group(group)
    check_dtypes(*tensor_list, tensor)
    check_count(tensor_list, own.size, "tensor_list")
    _written(*tensor_list)
    outputs = [t._array for t in tensor_list]
    work = own.all_gather(outputs, tensor._array, async_op=async_op)
    return _handle(work, *tensor_list)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Group = None, async_op: bool = False
) -> Work | None:
    """Copy the inputs of all ranks one after another into `output_tensor`."""
    check_tensor(output_tensor, "output_tensor")
    check_tensor(input_tensor, "input_tensor")
    if outside(group):
        return None
    own = resolve_group(group)
    check_blocks(output_tensor, input_tensor, own.size, ("output_tensor", "input_tensor"))
    _written(output_tensor)
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
    check_tensor(tensor, "tensor")
    if outside(group):
        return None
    own, root = resolve_group(group), root_of(group, dst, group_dst, 0)
    if own.rank != root:
        if gather_list:
            raise ValueError(
                "Argument ``gather_list`` must NOT be specified on non-destination ranks."
            )
        return _handle(own.gather(tensor._array, None, root, async_op=async_op))
    if gather_list is None:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    check_tensors(gather_list, "gather_list")
    check_dtypes(*gather_list, tensor)
    check_count(gather_list, own.size, "gather_list")
    check_shapes(gather_list, tensor, "gather_list")
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
    check_tensor(tensor, "tensor")
    if outside(group):
        return None
    own, root = resolve_group(group), root_of(group, src, group_src, 0)
    _written(tensor)
    if own.rank != root:
        if scatter_list:
            raise ValueError("Argument ``scatter_list`` must NOT be specified on non-source ranks.")
        return _handle(own.scatter(tensor._array, None, root, async_op=async_op), tensor)
    if scatter_list is None:
        raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
    check_tensors(scatter_list, "scatter_list")
    check_dtypes(tensor, *scatter_list)
    check_count(scatter_list, own.size, "scatter_list")
    check_shapes(scatter_list, tensor, "scatter_list")
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
    check_tensor(output, "output")
    check_tensors(input_list, "input_list")
    if outside(group):
        return None
    own = resolve_group(group)
    check_reduction(op, output, "reduce_scatter")
    check_dtypes(*input_list, output)
    check_count(input_list, own.size, "input_list")
    _written(output)
    inputs = [t._array for t in input_list]
    work = own.reduce_scatter(output._array, inputs, op, async_op=async_op)
    return _handle(work, output)


def reduce_scatter_tensor(
    output: Tensor,
    input: Tensor,
    op: Reduction = ReduceOp.SUM,
    group: Group = None,
    async_op: bool = False,
) -> Work | None:
    """Reduce the r-th equal part of all ranks' `input` into the `output` of rank r."""
    check_tensor(output, "output")
    check_tensor(input, "input")
    if outside(group):
        return None
    own = resolve_group(group)
    check_reduction(op, output, "reduce_scatter_tensor")
    check_blocks(input, output, own.size, ("input", "output"))
    _written(output)
    work = own.reduce_scatter_from(output._array, input._array, op, async_op=async_op)
    return _handle(work, output)


def all_to_all(
    output_tensor_list: Sequence[Tensor],
    input_tensor_list: Sequence[Tensor],
    group: Group = None,
    async_op: bool = False,
) -> Work | None:
    """Copy ``input_tensor_list[r]`` of rank s into ``output_tensor_list[s]`` of rank r."""
    check_tensors(output_tensor_list, "output_tensor_list")
    check_tensors(input_tensor_list, "input_tensor_list")
    if outside(group):
        return None
    own = resolve_group(group)
    check_count(output_tensor_list, own.size, "output_tensor_list")
    check_count(input_tensor_list, own.size, "input_tensor_list")
    check_dtypes(*input_tensor_list, *output_tensor_list)
    _written(*output_tensor_list)
    outputs = [t._array for t in output_tensor_list]
    inputs = [t._array for t in input_tensor_list]
    work = own.all_to_all(outputs, inputs, async_op=async_op)
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
    check_tensor(output, "output")
    check_tensor(input, "input")
    if outside(group):
        return None
    check_dtypes(output, input)
    _written(output)
    sizes = (output_split_sizes, input_split_sizes)
    own = resolve_group(group)
    work = own.all_to_all_single(output._array, input._array, *sizes, async_op=async_op)
    return _handle(work, output)


def barrier(
    group: Group = None,
    async_op: bool = False,
    device_ids: Any = None,
    timeout: timedelta | float | None = None,
) -> Work | None:
    """Return on no rank before all ranks have come here."""
    if outside(group):
        return None
    own = resolve_group(group)
    return _handle(own.barrier(async_op=async_op, timeout_s=seconds(timeout)))


def monitored_barrier(
    group: Group = None, timeout: timedelta | float | None = None, wait_all_ranks: bool = False
) -> None:
    """Barrier whose RuntimeError names all ranks that did not come within `timeout`."""
    if not outside(group):
        own_group.monitored_barrier(resolve_group(group), timeout, wait_all_ranks)


all_gather_single = all_gather_into_tensor
reduce_scatter_single = reduce_scatter_tensor
