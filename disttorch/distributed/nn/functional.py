"""Differentiable collectives: results are new tensors, and their gradients travel back.

All ranks must call them alike, and all must call backward: a gradient needs its collective, too.
Roots are global ranks. Sums, averages and premultiplied sums have gradients; backward through other
reductions raises RuntimeError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import disttorch.distributed as dist
from disttorch.autograd.function import Function
from disttorch.comm.reduce_op import PremulSum, ReduceOp
from disttorch.tensor import Tensor

Group = Any


def broadcast(tensor: Tensor, src: int, group: Group = None) -> Tensor:
    """Return the `tensor` of `src` on all ranks; its gradient is the sum of all ranks'."""
    return _Broadcast.apply(src, group, tensor)


def gather(tensor: Tensor, dst: int = 0, group: Group = None) -> tuple[Tensor, ...]:
    """Return all ranks' tensors on `dst`, zeros elsewhere."""
    return _Gather.apply(dst, group, tensor)


def scatter(tensors: Sequence[Tensor], src: int = 0, group: Group = None) -> Tensor:
    """Return ``tensors[r]`` of `src` on rank r; the other ranks pass tensors of the same shapes."""
    return _Scatter.apply(src, group, *tensors)


def reduce(tensor: Tensor, dst: int, op: ReduceOp = ReduceOp.SUM, group: Group = None) -> Tensor:
    """Return the reduction over all ranks on `dst`, this rank's own tensor elsewhere."""
    return _Reduce.apply(dst, op, group, tensor)


def reduce_scatter(
    output: Tensor,
    input_list: Sequence[Tensor],
    op: ReduceOp = ReduceOp.SUM,
    group: Group = None,
) -> Tensor:
    """Reduce ``input_list[r]`` of all ranks into `output` of rank r, and return that."""
    return _ReduceScatter.apply(op, group, output, *input_list)


def all_gather(tensor: Tensor, group: Group = None) -> tuple[Tensor, ...]:
    """Return all ranks' tensors, on all ranks."""
    return _AllGather.apply(group, tensor)


def all_to_all(
    output_tensor_list: Sequence[Tensor], input_tensor_list: Sequence[Tensor], group: Group = None
) -> tuple[Tensor, ...]:
    """Send ``input_tensor_list[r]`` to rank r; fill and return `output_tensor_list`."""
    return _AllToAll.apply(group, list(output_tensor_list), *input_tensor_list)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: Group = None,
) -> Tensor:
    """Exchange parts of `input` along its first dimension; fill and return `output`."""
    return _AllToAllSingle.apply(group, output, output_split_sizes, input_split_sizes, input)


def all_reduce(tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: Group = None) -> Tensor:
    """Return the reduction over all ranks; its gradient, of sums and averages, is reduced alike."""
    return _AllReduce.apply(op, group, tensor)


def _all_gather_base(output_tensor: Tensor, input_tensor: Tensor, group: Group = None) -> Tensor:
    """Copy the inputs of all ranks one after another into `output_tensor`, and return it."""
    return _AllGatherBase.apply(output_tensor, input_tensor, group)


def _factor(op: Any, name: str, group: Group) -> float:
    """By what each rank's tensor counts in a reduction; RuntimeError if that is no number."""
    if isinstance(op, PremulSum):
        return op.factor
    if op not in (ReduceOp.SUM, ReduceOp.AVG):
        raise RuntimeError(
            f"{name} with {op} has no gradient here: reduce with SUM or AVG, or detach the tensor"
        )
    return 1.0 if op is ReduceOp.SUM else 1.0 / dist.get_world_size(group)


def _scaled(grad: Tensor, factor: float) -> Tensor:
    return grad if factor == 1.0 else grad * factor


class _Broadcast(Function):
    """Forward from one, backward a sum to that one."""

    @staticmethod
    def forward(ctx: Any, src: int, group: Group, tensor: Tensor) -> Tensor:
        """Copy out."""
        ctx.src, ctx.group = src, group
        out = tensor.clone()
        dist.broadcast(out, src, group=group)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Sum to the source; the others' input had no part in the result."""
        total = _Reduce.apply(ctx.src, ReduceOp.SUM, ctx.group, grad)
        # In place, so that with `create_graph` all ranks go back through the reduction.
        return None, None, total if dist.get_rank() == ctx.src else total.zero_()


class _Gather(Function):
    """Forward to one, backward a scatter from it."""

    @staticmethod
    def forward(ctx: Any, dst: int, group: Group, tensor: Tensor) -> tuple[Tensor, ...]:
        """Collect."""
        ctx.dst, ctx.group = dst, group
        outs = [tensor.new_zeros(tensor.shape) for _ in range(dist.get_world_size(group))]
        wanted = outs if dist.get_rank() == dst else None
        dist.gather(tensor.contiguous(), wanted, dst, group=group)
        return tuple(outs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Hand the gradients back."""
        return None, None, _Scatter.apply(ctx.dst, ctx.group, *grads)


class _Scatter(Function):
    """Forward from one, backward a gather to it."""

    @staticmethod
    def forward(ctx: Any, src: int, group: Group, *tensors: Tensor) -> Tensor:
        """Hand out."""
        ctx.src, ctx.group = src, group
        own = tensors[dist.get_rank(group)]
        out = own.new_zeros(own.shape)
        given = [tensor.contiguous() for tensor in tensors] if dist.get_rank() == src else None
        dist.scatter(out, given, src, group=group)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Collect the gradients."""
        return None, None, *_Gather.apply(ctx.src, ctx.group, grad)


class _Reduce(Function):
    """Forward to one, backward a broadcast from it."""

    @staticmethod
    def forward(ctx: Any, dst: int, op: ReduceOp, group: Group, tensor: Tensor) -> Tensor:
        """Reduce a copy."""
        ctx.dst, ctx.op, ctx.group = dst, op, group
        out = tensor.clone()
        dist.reduce(out, dst, op, group=group)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Send the gradient to all."""
        factor = _factor(ctx.op, "reduce", ctx.group)
        return None, None, None, _scaled(_Broadcast.apply(ctx.dst, ctx.group, grad), factor)


class _ReduceScatter(Function):
    """Forward a sum of parts, backward a gather."""

    @staticmethod
    def forward(ctx: Any, op: ReduceOp, group: Group, out: Tensor, *inputs: Tensor) -> Tensor:
        """Reduce the parts into `out`."""
        ctx.op, ctx.group = op, group
        dist.reduce_scatter(out, [tensor.contiguous() for tensor in inputs], op, group=group)
        return out.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Give every rank the gradients of all parts."""
        factor = _factor(ctx.op, "reduce_scatter", ctx.group)
        parts = _AllGather.apply(ctx.group, grad)
        return None, None, None, *(_scaled(part, factor) for part in parts)


class _AllGather(Function):
    """Forward a gather, backward a sum of parts."""

    @staticmethod
    def forward(ctx: Any, group: Group, tensor: Tensor) -> tuple[Tensor, ...]:
        """Collect on all ranks."""
        ctx.group = group
        outs = [tensor.new_zeros(tensor.shape) for _ in range(dist.get_world_size(group))]
        dist.all_gather(outs, tensor.contiguous(), group=group)
        return tuple(outs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Sum what all ranks have for this one."""
        own = grads[dist.get_rank(ctx.group)]
        out = own.new_zeros(own.shape)
        return None, _ReduceScatter.apply(ReduceOp.SUM, ctx.group, out, *grads)


class _AllGatherBase(Function):
    """As `_AllGather`, with one output."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, tensor: Tensor, group: Group) -> Tensor:
        """Collect on all ranks."""
        ctx.group, ctx.shape = group, tensor.shape
        dist.all_gather_into_tensor(out, tensor.contiguous(), group=group)
        return out.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Sum what all ranks have for this one."""
        out = grad.new_zeros(ctx.shape)
        parts = grad.reshape(-1, *ctx.shape).unbind()
        return None, _ReduceScatter.apply(ReduceOp.SUM, ctx.group, out, *parts), None


class _AllToAll(Function):
    """The way back is the same exchange."""

    @staticmethod
    def forward(ctx: Any, group: Group, outs: list[Tensor], *tensors: Tensor) -> tuple[Tensor, ...]:
        """Exchange, leaving shapes for the way back."""
        ctx.group, ctx.shapes = group, [tensor.shape for tensor in tensors]
        dist.all_to_all(outs, [tensor.contiguous() for tensor in tensors], group=group)
        return tuple(out.detach() for out in outs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Exchange back."""
        outs = [grads[0].new_zeros(shape) for shape in ctx.shapes]
        return None, None, *_AllToAll.apply(ctx.group, outs, *grads)


class _AllToAllSingle(Function):
    """The way back is the same exchange with the sizes swapped."""

    @staticmethod
    def forward(
        ctx: Any, group: Group, out: Tensor, out_sizes: Any, in_sizes: Any, tensor: Tensor
    ) -> Tensor:
        """Exchange, leaving sizes for the way back."""
        ctx.group, ctx.sizes, ctx.shape = group, (out_sizes, in_sizes), tensor.shape
        dist.all_to_all_single(out, tensor.contiguous(), out_sizes, in_sizes, group=group)
        return out.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Exchange back."""
        out_sizes, in_sizes = ctx.sizes
        out = grad.new_zeros(ctx.shape)
        back = _AllToAllSingle.apply(ctx.group, out, in_sizes, out_sizes, grad)
        return None, None, None, None, back


class _AllReduce(Function):
    """Reduced forward and backward alike."""

    @staticmethod
    def forward(ctx: Any, op: ReduceOp, group: Group, tensor: Tensor) -> Tensor:
        """Reduce a copy."""
        ctx.op, ctx.group = op, group
        out = tensor.clone()
        dist.all_reduce(out, op, group=group)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Reduce the gradient."""
        _factor(ctx.op, "all_reduce", ctx.group)
        return None, None, _AllReduce.apply(ctx.op, ctx.group, grad)
