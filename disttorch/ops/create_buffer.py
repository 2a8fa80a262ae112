"""Tensors on memory of others: buffers, DLPack."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import public
from disttorch.backends.cpu.numpy_backend import CPU
from disttorch.dtype import as_dtype, from_numpy_dtype, get_default_dtype
from disttorch.dtype import dtype as Dtype
from disttorch.ops.create import require_grad
from disttorch.tensor import Tensor

__all__ = ["from_dlpack", "from_file", "frombuffer", "to_dlpack"]


@public()
def frombuffer(
    buffer: Any,
    *,
    dtype: Dtype,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Tensor:
    """1-D tensor on the memory of an object with Python's buffer protocol, without copying.

    `count` elements (-1: all) from `offset` bytes on. Raises ValueError for a part that leaves the
    buffer.
    """
    try:
        memory = memoryview(buffer).cast("B")
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    n, item = memory.nbytes, dtype.itemsize
    if not n or not count:
        raise ValueError(f"both buffer length ({n}) and count ({count}) must not be 0")
    if not 0 <= offset < n:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({n} bytes) minus 1"
        )
    if count < 0 and (n - offset) % item:
        raise ValueError(
            f"buffer length ({n - offset} bytes) after offset ({offset} bytes) must be a multiple "
            f"of element size ({item})"
        )
    if count > 0 and offset + count * item > n:
        raise ValueError(
            f"requested buffer length ({count} * {item} bytes) after offset ({offset} bytes) must "
            f"not be greater than actual buffer length ({n} bytes)"
        )
    array = CPU.xp.frombuffer(buffer, dtype.np, count, offset)
    return require_grad(Tensor._wrap(array), requires_grad)


class _Capsule:
    """A bare DLPack capsule of host memory as an object that hands it out."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # the host


@public()
def to_dlpack(tensor: Tensor) -> Any:
    """Return a DLPack capsule of the tensor's memory, which one consumer may take."""
    return tensor.__dlpack__()


@public()
def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """Tensor on the memory of another library's array, which must know ``__dlpack__``.

    Raises RuntimeError for anything else.
    """
    if type(ext_tensor).__name__ == "PyCapsule":
        ext_tensor = _Capsule(ext_tensor)
    if isinstance(ext_tensor, Tensor):
        ext_tensor.__dlpack__()  # refuses what must not be shared
        return ext_tensor.detach()
    if not hasattr(ext_tensor, "__dlpack__"):
        raise RuntimeError(
            "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed "
            "only once, so you might have already constructed a tensor from it once."
        )
    array = CPU.xp.from_dlpack(ext_tensor)
    from_numpy_dtype(array.dtype)
    return Tensor._wrap(array)


@public()
def from_file(
    filename: Any,
    shared: bool | None = None,
    size: int | None = 0,
    *,
    dtype: Dtype | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """1-D tensor of `size` elements on a mapped file; `shared` writes go to the file."""
    np_dtype = (as_dtype(dtype) or get_default_dtype()).np
    array = CPU.mapped(filename, shared, size or 0, np_dtype)
    return require_grad(Tensor._wrap(array), requires_grad)
