"""Tensors and the memory behind them: storages, `set_`, sharing, order of dimensions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from disttorch.autograd.op import public
from disttorch.dtype import TYPE_NAMES, c_name
from disttorch.dtype import dtype as Dtype
from disttorch.ops.cast import cast
from disttorch.ops.shape_math import contiguous_strides, sizes
from disttorch.storage import STORAGE_TYPES, TypedStorage, UntypedStorage
from disttorch.tensor import Tensor

__all__ = [
    *("const_data_ptr", "dim_order", "is_set_to", "is_shared", "set_", "share_memory_"),
    *("record_stream", "storage", "storage_type", "to_dense", "untyped_storage"),
]

Array = Any


@public(method=True, function=False)
def untyped_storage(input: Tensor) -> UntypedStorage:
    """Return the whole memory that the tensor is a view of, as bytes."""
    return UntypedStorage._of(input._array)


@public(method=True, function=False)
def storage(input: Tensor) -> TypedStorage:
    """Return the whole memory that the tensor is a view of, as elements; warns as PyTorch does."""
    warnings.warn(
        "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be "
        "the only storage class. This should only matter to you if you are using storages "
        "directly.  To access UntypedStorage directly, use tensor.untyped_storage() instead of "
        "tensor.storage()",
        UserWarning,
        stacklevel=2,
    )
    return TypedStorage(wrap_storage=untyped_storage(input), dtype=input.dtype, _internal=True)


@public(method=True, function=False)
def storage_type(input: Tensor) -> Any:
    """Return the class of `storage()`, such as ``FloatStorage``."""
    return STORAGE_TYPES[f"{TYPE_NAMES[input.dtype]}Storage"]


@public(method=True, function=False)
def const_data_ptr(input: Tensor) -> int:
    """Return the address of the first element, for reading."""
    return input.data_ptr()


def _memory_of(source: Any, input: Tensor) -> Array:
    """The elements of a storage in the dtype of `input`; RuntimeError for one of another dtype."""
    if isinstance(source, TypedStorage):
        if source.dtype is not input.dtype:
            raise RuntimeError(
                f"Expected a Storage of type {c_name(input.dtype)} or an UntypedStorage, but "
                f"got type {TYPE_NAMES[source.dtype]} for argument 1 'storage'"
            )
        source = source.untyped()
    memory = source._bytes
    item = input.itemsize
    return memory[: memory.size // item * item].view(input._array.dtype)


@public(method=True, function=False)
def set_(
    input: Tensor,
    source: Any = None,
    storage_offset: int = 0,
    size: Sequence[int] | None = None,
    stride: Sequence[int] | None = None,
) -> Tensor:
    """Let the tensor look at the memory of another tensor or storage, in place; at none for None.

    For a storage `storage_offset`, `size` and `stride` (in elements) choose a part of it. Raises
    RuntimeError for another dtype or a part that leaves the storage.
    """
    if source is None:
        input._array = input.backend.xp.empty(0, input._array.dtype)
    elif isinstance(source, Tensor) and size is None:
        if source.dtype is not input.dtype:
            raise RuntimeError(
                f"Could not set tensor of type {c_name(source.dtype)} to a tensor of type "
                f"{c_name(input.dtype)}"
            )
        input._array = source._array
    else:
        held = untyped_storage(source) if isinstance(source, Tensor) else source
        memory = _memory_of(held, input)
        shape = (memory.shape[0] - storage_offset,) if size is None else sizes((size,))
        strides = contiguous_strides(shape) if stride is None else sizes((stride,))
        input._array = _part(input, memory, shape, strides, storage_offset)
    input._cell[0] += 1
    return input


def _part(
    input: Tensor, memory: Array, shape: Sequence[int], strides: Sequence[int], offset: int
) -> Array:
    item = memory.dtype.itemsize
    last = sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    needed = (offset + last + 1) * item if 0 not in shape else 0
    if needed > memory.nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize {item} requiring a storage size of {needed} are out of bounds for "
            f"storage of size {memory.nbytes}"
        )
    return input.backend.as_strided(
        memory[offset:], tuple(shape), tuple([s * item for s in strides])
    )


@public(method=True)
def is_set_to(input: Tensor, tensor: Tensor) -> Any:
    """Whether both tensors are the same part, of the same shape and strides, of one memory."""
    return (
        input.data_ptr() == tensor.data_ptr()
        and input.shape == tensor.shape
        and input.stride() == tensor.stride()
        and input.dtype is tensor.dtype
    )


@public(method=True, function=False)
def is_shared(input: Tensor) -> Any:
    """Whether forked processes see each other's writes to this tensor."""
    return input.is_cuda or input.backend.is_shared(input._array)


@public(method=True, function=False)
def share_memory_(input: Tensor) -> Tensor:
    """Move the tensor to memory that processes forked from here on share with this one.

    Views made before keep the memory they had.
    """
    if not is_shared(input):
        input._array = input.backend.shared_copy(input._array)
    return input


@public(method=True, function=False)
def record_stream(input: Tensor, stream: Any) -> None:
    """Tell the allocator that a stream uses this memory: nothing to do, here it is never late."""


@public(method=True, function=False)
def to_dense(input: Tensor, dtype: Dtype | None = None, *, masked_grad: Any = None) -> Tensor:
    """Return the tensor, which is dense already, in `dtype`."""
    return input if dtype is None else cast(input, dtype)


@public(method=True, function=False)
def dim_order(input: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """Return the dimensions from outermost to innermost in memory.

    `ambiguity_check` (True, or a list of memory formats) raises RuntimeError where dimensions of
    length 1 leave more than one answer.
    """
    strides, shape = input.stride(), input._array.shape
    if not isinstance(ambiguity_check, (bool, list, tuple)):
        raise TypeError("The ambiguity_check argument must be a bool or a list of memory formats.")
    movable = 1 in shape or any(a == b for a, b in pairwise(strides))
    if ambiguity_check and movable:
        formats = ambiguity_check if isinstance(ambiguity_check, (list, tuple)) else ()
        if sum(input.is_contiguous(memory_format=f) for f in formats) != 1:
            raise RuntimeError(
                "The tensor does not have unique dim order, or cannot map to exact one of the "
                "given memory formats."
            )
    return tuple(sorted(range(len(shape)), key=lambda d: -strides[d]))
