"""Collectives that return new tensors and leave their input alone; gradients travel back.

A `group` is a process group, its `group_name`, a one-dimensional `DeviceMesh`, ``(mesh, dim)`` or,
deprecated, a list of ranks that have a group. Reductions go by their names, ``"sum"`` or ``"avg"``.
The result is there when a function returns, so `wait_tensor` has nothing to wait for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import disttorch.distributed as dist
from disttorch.autograd.function import Function
from disttorch.comm.reduce_op import ReduceOp
from disttorch.distributed.device_mesh import DeviceMesh
from disttorch.distributed.nn import functional
from disttorch.distributed.process_group import ProcessGroup
from disttorch.distributed.world import GroupMember, _World, group_of_name, resolve_group
from disttorch.ops.join import cat
from disttorch.tensor import Tensor

Group = Any


class AsyncCollectiveTensor(Tensor):
    """The class of PyTorch's results before they are there; no tensor is of it here."""


def wait_tensor(tensor: Tensor) -> Tensor:
    """Return `tensor`, whose values are there."""
    return tensor


def broadcast(self: Tensor, src: int, group: Group, tag: str = "") -> Tensor:
    """Return the tensor of group rank `src`."""
    own = _resolve_group(group)
    return functional.broadcast(self, dist.get_global_rank(own, src), own)


def all_reduce(self: Tensor, reduceOp: str, group: Group, tag: str = "") -> Tensor:
    """Return the reduction over all ranks; RuntimeError from backward unless it is a sum."""
    return _AllReduce.apply(reduceOp, _resolve_group(group), self)


def all_gather_single(self: Tensor, gather_dim: int, group: Group, tag: str = "") -> Tensor:
    """Return all ranks' tensors, of one shape, one after another along `gather_dim`."""
    own = _resolve_group(group)
    whole = _AllGather.apply(own, self)
    return whole if gather_dim == 0 else cat(whole.chunk(dist.get_world_size(own)), gather_dim)


def reduce_scatter_single(
    self: Tensor, reduceOp: str, scatter_dim: int, group: Group, tag: str = ""
) -> Tensor:
    """Return this rank's part, of equal parts along `scatter_dim`, of the reduction.

    AssertionError unless the ranks divide the dimension, RuntimeError from backward unless it is a
    sum.
    """
    own = _resolve_group(group)
    n_ranks = dist.get_world_size(own)
    if self.size(scatter_dim) % n_ranks:
        raise AssertionError(
            f"input dimension 0 ({self.size(0)} must be a multiple of group_size {n_ranks})"
        )
    parts = self if scatter_dim == 0 else cat(self.chunk(n_ranks, scatter_dim))
    return _ReduceScatter.apply(reduceOp, own, parts)


def all_to_all_single(
    self: Tensor,
    output_split_sizes: Sequence[int] | None,
    input_split_sizes: Sequence[int] | None,
    group: Group,
    tag: str = "",
) -> Tensor:
    """Return what all ranks have for this one, as rows; AssertionError for one of the sizes."""
    own = _resolve_group(group)
    if output_split_sizes is None or input_split_sizes is None:
        if output_split_sizes is not input_split_sizes:
            raise AssertionError(
                "output_split_sizes and input_split_sizes must either be specified together or "
                "both set to None"
            )
        n_ranks = dist.get_world_size(own)
        output_split_sizes = input_split_sizes = [self.shape[0] // n_ranks] * n_ranks
    out = self.new_empty((sum(output_split_sizes), *self.shape[1:]))
    sizes = (list(output_split_sizes), list(input_split_sizes))
    return functional.all_to_all_single(out, self, *sizes, own)


def permute_tensor(self: Tensor, src_dst: Sequence[int], group: Group, tag: str = "") -> Tensor:
    """Return the tensor of the rank that sends to this one: rank m sends to ``src_dst[m]``.

    Without a sender the result is empty.
    """
    own = _resolve_group(group)
    rank, to, sent = dist.get_rank(own), [0] * len(src_dst), [0] * len(src_dst)
    for source, target in enumerate(src_dst):
        sent[target] += self.numel() if source == rank else 0
        to[source] += self.numel() if target == rank else 0
    out = all_to_all_single(self.reshape(-1), to, sent, own)
    return out.reshape(self.shape) if sum(to) == self.numel() else out


def all_reduce_coalesced(
    self: Sequence[Tensor], reduceOp: str, group: Group, tag: str = ""
) -> list[Tensor]:
    """Return the reduction of each tensor."""
    own = _resolve_group(group)
    return [all_reduce(tensor, reduceOp, own) for tensor in self]


def all_gather_single_coalesced(
    self: Sequence[Tensor], group: Group, tag: str = ""
) -> list[Tensor]:
    """Return each tensor gathered along dimension 0."""
    own = _resolve_group(group)
    return [all_gather_single(tensor, 0, own) for tensor in self]


def reduce_scatter_single_coalesced(
    inputs: Sequence[Tensor],
    reduceOp: str,
    scatter_dim: Sequence[int],
    group: Group,
    tag: str = "",
) -> list[Tensor]:
    """Return this rank's part of each tensor; AssertionError unless each has its dimension."""
    if len(scatter_dim) != len(inputs):
        raise AssertionError(
            f"Length of scatter_dim ({len(scatter_dim)}) must equal length of inputs "
            f"({len(inputs)})"
        )
    own = _resolve_group(group)
    pairs = zip(inputs, scatter_dim, strict=True)
    return [reduce_scatter_single(tensor, reduceOp, dim, own) for tensor, dim in pairs]


def _older(name: str, present: Callable[..., Any]) -> Callable[..., Any]:
    """`present` under the name that PyTorch deprecates."""
    path = "torch.distributed._functional_collectives"

    @wraps(present)
    def older(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(
            f"`{path}.{name}` is deprecated. Please use `{path}.{present.__name__}` instead.",
            FutureWarning,
            stacklevel=2,
        )
        return present(*args, **kwargs)

    return older


all_gather_tensor = _older("all_gather_tensor", all_gather_single)
reduce_scatter_tensor = _older("reduce_scatter_tensor", reduce_scatter_single)
all_gather_into_tensor_coalesced = _older(
    "all_gather_into_tensor_coalesced", all_gather_single_coalesced
)
reduce_scatter_tensor_coalesced = _older(
    "reduce_scatter_tensor_coalesced", reduce_scatter_single_coalesced
)
# All are differentiable; PyTorch's names for that are from before its own were.
all_gather_single_autograd = all_gather_single
reduce_scatter_single_autograd = reduce_scatter_single
all_to_all_single_autograd = all_to_all_single
all_gather_tensor_autograd = _older("all_gather_tensor_autograd", all_gather_single)
reduce_scatter_tensor_autograd = _older("reduce_scatter_tensor_autograd", reduce_scatter_single)


def _resolve_group(group: Group, tag: str = "") -> Any:
    """The process group that `group` stands for; ValueError for what stands for none."""
    if isinstance(group, str):
        return group_of_name(group)
    if isinstance(group, DeviceMesh):
        if group.ndim != 1:
            raise AssertionError(
                "Only 1D mesh is supported, pass in (DeviceMesh, int) together if mesh > 1D"
            )
        return group.get_group()
    if isinstance(group, tuple):
        if [type(part) for part in group] != [DeviceMesh, int]:
            raise ValueError(
                "Invalid tuple for group must be (DeviceMesh, int). Instead got "
                f"{tuple(type(part) for part in group)}"
            )
        return group[0].get_group(group[1])
    if isinstance(group, list):
        return _of_ranks(group)
    if group is None or not (isinstance(group, ProcessGroup) or hasattr(group, "ranks")):
        raise ValueError(f"Unsupported group type: {type(group)}, {group}")
    resolve_group(group)
    return group


def _of_ranks(ranks: list[int]) -> Any:
    """The group of these global ranks that was made first."""
    warnings.warn(
        "The combination of ranks + tag as process group identifier has been deprecated. Please "
        "switch to using ProcessGroup, DeviceMesh, or group name instead.",
        FutureWarning,
        stacklevel=4,
    )
    for made in (GroupMember.WORLD, *_World.named.values()):
        if made is not None and dist.get_process_group_ranks(made) == ranks:
            return made
    raise ValueError(f"there is no process group of ranks {ranks}; make one with new_group")


def _op(name: str) -> ReduceOp:
    if name.upper() not in ReduceOp.__members__:
        raise ValueError(f"Unknown reduce operation {name!r}")
    return ReduceOp[name.upper()]


def _check_sum(name: str, reduce_op: str) -> None:
    if reduce_op.lower() != "sum":
        raise RuntimeError(
            f"{name} backward only supports 'sum' reduction, got '{reduce_op.lower()}'"
        )


class _AllReduce(Function):
    """Reduced forward; sums of gradients backward."""

    @staticmethod
    def forward(ctx: Any, reduce_op: str, group: Group, tensor: Tensor) -> Tensor:
        """Reduce a copy."""
        ctx.reduce_op, ctx.group = reduce_op, group
        out = tensor.clone()
        dist.all_reduce(out, _op(reduce_op), group)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Sum the gradients."""
        _check_sum("all_reduce", ctx.reduce_op)
        return None, None, _AllReduce.apply("sum", ctx.group, grad)


class _AllGather(Function):
    """All ranks' rows forward; sums of their gradients' parts backward."""

    @staticmethod
    def forward(ctx: Any, group: Group, tensor: Tensor) -> Tensor:
        """Gather along dimension 0; numbers without dimensions become a vector."""
        ctx.group, ctx.shape = group, tensor.shape
        rows, *rest = tensor.shape or (1,)
        out = tensor.new_empty((rows * dist.get_world_size(group), *rest))
        dist.all_gather_into_tensor(out, tensor.contiguous(), group)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Sum what all ranks have for this one's rows."""
        return None, _ReduceScatter.apply("sum", ctx.group, grad).reshape(ctx.shape)


class _ReduceScatter(Function):
    """This rank's rows of the reduction forward; all ranks' gradients backward."""

    @staticmethod
    def forward(ctx: Any, reduce_op: str, group: Group, tensor: Tensor) -> Tensor:
        """Reduce and keep a part of dimension 0."""
        ctx.reduce_op, ctx.group = reduce_op, group
        rows, *rest = tensor.shape
        out = tensor.new_empty((rows // dist.get_world_size(group), *rest))
        dist.reduce_scatter_tensor(out, tensor.contiguous(), _op(reduce_op), group)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Give every rank all gradients."""
        _check_sum("reduce_scatter_tensor", ctx.reduce_op)
        return None, None, _AllGather.apply(ctx.group, grad)
