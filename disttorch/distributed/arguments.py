"""What the collectives accept, and PyTorch's errors for the rest."""

from __future__ import annotations

from typing import Any

from disttorch.comm.reduce_op import PremulSum, ReduceOp
from disttorch.distributed.backend import supports_complex
from disttorch.distributed.world import GroupMember, get_group_rank
from disttorch.tensor import Tensor

Group = Any


class InvalidArgumentError(ValueError, RuntimeError):
    """Wrong arguments, found before anything is sent.

    PyTorch's own layer raises ValueError for such, its backends RuntimeError: either is caught.
    """


def outside(group: Group) -> bool:
    """Whether this rank is no member of a group that it has helped to make."""
    return group is GroupMember.NON_GROUP_MEMBER


def check_tensor(tensor: Any, name: str) -> None:
    """Raise TypeError unless `tensor` is one."""
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor\n"
            f"             but got {type(tensor)} instead."
        )


def check_tensors(tensors: Any, name: str) -> None:
    """Raise TypeError unless `tensors` is a list of them."""
    if not isinstance(tensors, (list, tuple)) or not all(isinstance(t, Tensor) for t in tensors):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor]\n"
            f"             but got {type(tensors)} with elements of type "
            f"{[type(t) for t in tensors] if hasattr(tensors, '__iter__') else '-'}."
        )


def check_dtypes(*tensors: Tensor) -> None:
    """Raise ValueError unless all tensors have one dtype."""
    first = tensors[0].dtype
    for tensor in tensors:
        if tensor.dtype is not first:
            raise InvalidArgumentError(
                "Invalid usage of tensors with different dtypes"
                f"Found {first} and  {tensor.dtype}; convert them to one dtype"
            )


def check_count(tensors: Any, n_ranks: int, name: str) -> None:
    """Raise ValueError unless there is one tensor for each rank."""
    if len(tensors) != n_ranks:
        raise InvalidArgumentError(
            f"{name} must hold one tensor for each of the {n_ranks} ranks, got {len(tensors)}"
        )


def check_shapes(tensors: Any, like: Tensor, name: str) -> None:
    """Raise ValueError unless all tensors have the shape of `like`."""
    for i, tensor in enumerate(tensors):
        if tensor.shape != like.shape:
            raise InvalidArgumentError(
                f"{name}: invalid tensor size at index {i} (expected {tuple(like.shape)}, got "
                f"{tuple(tensor.shape)})"
            )


def check_blocks(whole: Tensor, part: Tensor, n_ranks: int, names: tuple[str, str]) -> None:
    """Raise ValueError unless `whole` has the dtype of `part` and `n_ranks` times its elements."""
    check_dtypes(whole, part)
    if whole._array.size != n_ranks * part._array.size:
        raise InvalidArgumentError(
            f"{names[0]} must have {n_ranks} times the elements of {names[1]}: "
            f"{n_ranks} x {part._array.size}, got {whole._array.size}"
        )


def check_reduction(op: Any, tensor: Tensor, name: str) -> None:
    """Raise TypeError unless `op` is a ReduceOp, ValueError unless complex numbers can do it."""
    if not isinstance(op, (ReduceOp, PremulSum)):
        raise TypeError(
            f"{name}(): incompatible function arguments: `op` must be a torch.distributed.ReduceOp,"
            f" got {op!r}"
        )
    if tensor.dtype.is_complex and not supports_complex(op):
        raise InvalidArgumentError(
            f"{name} does not support RedOpType.{op.name} on complex tensors"
        )


def root_of(group: Group, root: int | None, group_root: int | None, default: int | None) -> int:
    """Group rank of the root, given as a global rank or as a group rank.

    Raises ValueError for none, both, or a rank that the group does not have.
    """
    if group_root is not None:
        if root is not None:
            raise ValueError("Can't specify both group_rank and global_rank")
        return group_root
    if root is None:
        if default is None:
            raise ValueError("Must specify global_rank or group_rank")
        root = default
    try:
        return get_group_rank(group, root)
    except ValueError as error:
        raise InvalidArgumentError(str(error)) from None
