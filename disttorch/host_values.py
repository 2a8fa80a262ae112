"""What a Tensor is to Python and NumPy: numbers, lists, arrays, buffers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from disttorch.backends.cpu.numpy_backend import CPU

if TYPE_CHECKING:
    import numpy as np

    from disttorch.backends import Backend
    from disttorch.device import device as Device
    from disttorch.tensor import Tensor


class HostValues:
    """Methods of Tensor that hand its values to the host; needs `_array` and autograd state."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def backend(self) -> Backend:
            """Tensor's own."""

        @property
        def device(self) -> Device:
            """Tensor's own."""

    _array: Any
    requires_grad: bool
    _wrap: Any
    __getitem__: Any
    numpy: Any  # bound later: what it refuses depends on autograd's state

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array: np.ndarray = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_wrap__(self, array: np.ndarray, *_: Any) -> Tensor:
        return self._wrap(CPU.asarray(array))

    def __dlpack__(self, **keywords: Any) -> Any:
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self._array.__dlpack__(**keywords)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def item(self) -> Any:
        """Return the only element as a Python number; RuntimeError if there is not exactly one."""
        if self._array.size != 1:
            raise RuntimeError(
                f"a Tensor with {self._array.size} elements cannot be converted to Scalar"
            )
        value = self._array.item()
        return float(value) if self._array.dtype.kind == "V" else value

    def tolist(self) -> Any:
        """Return nested lists of Python numbers, a number for a 0-d tensor."""
        array = self.backend.to_host(self._array)
        return (array.astype("float32") if array.dtype.kind == "V" else array).tolist()

    def __bool__(self) -> bool:
        if self._array.size != 1:
            values = "more than one value" if self._array.size else "no values"
            raise RuntimeError(f"Boolean value of Tensor with {values} is ambiguous")
        return bool(self._array)

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self._array.size != 1 or self._array.dtype.kind not in "iub":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self._array.item())

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return int(self._array.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, (HostValues, int, float, complex, bool)):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                f"{type(element)}."
            )
        return bool((self == element)._array.any())  # type: ignore[attr-defined]
