"""Making tensors from data, sizes and random numbers."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import public
from disttorch.backends import backend_for
from disttorch.device import device as Device
from disttorch.dtype import dtype as Dtype
from disttorch.dtype import get_default_dtype
from disttorch.tensor import Tensor

__all__ = ["from_numpy", "ones", "tensor", "zeros"]


@public()
def tensor(
    data: Any,
    *,
    dtype: Dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Copy `data` (number, nested lists, ndarray) into a new leaf tensor.

    Python floats become the default dtype, ints int64; arrays keep their dtype.
    """
    backend = backend_for(Device(device or "cpu"))
    array = backend.asarray(data)
    if dtype is None and array.dtype.kind in "fc" and not hasattr(data, "dtype"):
        default = get_default_dtype()
        dtype = default.to_complex() if array.dtype.kind == "c" else default
    out = Tensor._wrap(backend.xp.array(array, dtype=None if dtype is None else dtype.np))
    out.requires_grad = requires_grad
    return out


@public()
def from_numpy(array: Any) -> Tensor:
    """Wrap an ndarray; both share the memory. TypeError for dtypes no tensor has."""
    return Tensor._wrap(array)


def _filled(name: str, value: float) -> Any:
    def create(*size: Any, dtype: Dtype | None = None, device: Any = None,
               requires_grad: bool = False) -> Tensor:
        backend = backend_for(Device(device or "cpu"))
        shape = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
        np_dtype = (dtype or get_default_dtype()).np
        out = Tensor._wrap(backend.xp.full(tuple(shape), value, np_dtype))
        out.requires_grad = requires_grad
        return out

    create.__name__ = name
    create.__doc__ = f"Tensor of {name} of the given size."
    return public()(create)


zeros = _filled("zeros", 0)
ones = _filled("ones", 1)
