"""A strict stand-in for a GPU array library: finds operators that lean on NumPy, without a GPU.

`FakeArray` is an ndarray behind a wall: it behaves as CuPy's arrays do and refuses what they
refuse, above all silent copies to the host (``np.asarray``, NumPy functions, NumPy operands). Its
namespace `FakeNamespace` has only functions that CuPy 14 has, with the keywords that CuPy takes.
Importing this module registers `FakeBackend` for the device type "fake".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from disttorch.backends import Backend, register_backend
from disttorch.backends.cpu.numpy_backend import CPU
from disttorch.backends.kernels import KERNEL_NAMES
from disttorch.device import device
from disttorch.testing.fake_names import (
    BANNED_KEYWORDS,
    CONSTANTS,
    FFT,
    FUNCTIONS,
    LINALG,
    METHODS,
    UFUNC_METHODS,
    UFUNCS,
    UPLOADS,
)

__all__ = ["FakeArray", "FakeBackend", "FakeNamespace"]

_OPERAND = (bool, int, float, complex, np.generic)
_FAKE = device("fake")


class FakeFlags:
    """Memory layout flags that CuPy's arrays have (there is no `writeable`)."""

    __slots__ = ("c_contiguous", "f_contiguous", "forc", "owndata")

    def __init__(self, array: np.ndarray) -> None:
        flags = array.flags
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous
        self.forc, self.owndata = flags.forc, flags.owndata


class FakeArray:
    """An n-dimensional array on the fake device; see the module's docstring."""

    __slots__ = ("__weakref__", "_host")
    __array_ufunc__ = None  # NumPy operators with one of these raise, or ask our reflected one
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: np.ndarray) -> None:
        self._host = host

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __array_function__(self, function: Callable[..., Any], *_: Any) -> NoReturn:
        raise TypeError(f"numpy.{function.__name__} was called with an array of the fake device")

    def get(self) -> np.ndarray:
        """Copy to the host."""
        return self._host.copy()

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: FakeFlags(self._host))
    T = property(lambda self: FakeArray(self._host.T))
    real = property(lambda self: FakeArray(self._host.real))
    imag = property(lambda self: FakeArray(self._host.imag))

    @real.setter
    def real(self, value: Any) -> None:
        self._host.real = _host(value)

    @imag.setter
    def imag(self, value: Any) -> None:
        self._host.imag = _host(value)

    @property
    def base(self) -> FakeArray | None:
        """The array this one is a view of."""
        base = self._host.base
        return FakeArray(base) if isinstance(base, np.ndarray) else None

    def __len__(self) -> int:
        return len(self._host)

    def __getitem__(self, key: Any) -> FakeArray:
        key = _host(key)
        result = self._host[key]
        if isinstance(result, np.generic):  # the array library returns a 0-d view here
            result = self._host[(*key, ...) if isinstance(key, tuple) else (key, ...)]
        return FakeArray(result)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[_host(key)] = _host(value)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._host)

    def __int__(self) -> int:
        return int(self._host)

    def __float__(self) -> float:
        return float(self._host)

    def __complex__(self) -> complex:
        return complex(self._host)

    def __index__(self) -> int:
        return self._host.__index__()

    def __repr__(self) -> str:
        return f"FakeArray({self._host!r})"

    def item(self, *index: int) -> Any:
        """Copy one element to the host, as a Python number."""
        return self._host.item(*index)

    def tolist(self) -> Any:
        """Copy to the host, as nested lists."""
        return self._host.tolist()


def _host(value: Any) -> Any:
    """The ndarrays behind fake ones, in containers too; TypeError for arrays of NumPy."""
    if isinstance(value, FakeArray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(_host(v) for v in value)
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def _fake(result: Any) -> Any:
    """Put results behind the wall: arrays and NumPy scalars, in containers too."""
    if isinstance(result, (np.ndarray, np.generic)):
        return FakeArray(np.asarray(result))
    if isinstance(result, (list, tuple)):
        return (
            type(result)(_fake(r) for r in result)
            if type(result) in (list, tuple)
            else (tuple(_fake(r) for r in result))
        )
    return result


def _walled(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A NumPy function that takes and returns fake arrays."""

    def call(*args: Any, **keywords: Any) -> Any:
        banned = BANNED_KEYWORDS & set(keywords)
        if banned:
            raise TypeError(f"{name}() got an unexpected keyword argument {banned.pop()!r}")
        hosts = {k: _host(v) for k, v in keywords.items()}
        return _fake(function(*[_host(a) for a in args], **hosts))

    call.__name__ = name
    return call


def _upload(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function that may also take host arrays: the explicit way to the device."""

    def call(value: Any, *args: Any, **keywords: Any) -> FakeArray:
        host = value._host if isinstance(value, FakeArray) else _nested_host(value)
        result = function(host, *args, **keywords)
        shared = not isinstance(value, FakeArray) and np.may_share_memory(result, host)
        return FakeArray(result.copy() if shared else result)

    call.__name__ = name
    return call


def _nested_host(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [v._host if isinstance(v, FakeArray) else _nested_host(v) for v in value]
    return np.asarray(value) if not np.isscalar(value) else value


class FakeUfunc:
    """A universal function: callable, with the few methods that CuPy's have."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self.__name__ = ufunc.__name__
        self._call = _walled(ufunc, ufunc.__name__)
        for method in UFUNC_METHODS.get(ufunc.__name__, ()):
            setattr(self, method, _walled(getattr(ufunc, method), method))

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Apply it; at least one operand is a fake array or they are all numbers."""
        return self._call(*args, **keywords)


class _Part:
    """A namespace with these functions of a NumPy module and no others."""

    def __init__(self, module: Any, names: Sequence[str]) -> None:
        for name in names:
            setattr(self, name, _walled(getattr(module, name), name))


class FakeNamespace:
    """What `ctx.xp` is on the fake device: the functions CuPy has."""

    ndarray = FakeArray

    def __init__(self) -> None:
        self.linalg = _Part(np.linalg, LINALG)
        self.fft = _Part(np.fft, FFT)
        self.lib = _Part(np.lib, ())
        self.lib.stride_tricks = _Part(  # type: ignore[attr-defined]
            np.lib.stride_tricks, ("as_strided", "sliding_window_view")
        )
        for name in UFUNCS:
            setattr(self, name, FakeUfunc(getattr(np, name)))
        for name in FUNCTIONS:
            setattr(self, name, _walled(getattr(np, name), name))
        for name in UPLOADS:
            setattr(self, name, _upload(getattr(np, name), name))
        for name in CONSTANTS:
            setattr(self, name, getattr(np, name))

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"the fake device's array library has no {name!r}, as CuPy has none")


def _bind_methods() -> None:
    """Give FakeArray its methods and operators."""
    for name in METHODS:
        setattr(FakeArray, name, _walled(getattr(np.ndarray, name), name))
    binary = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or")
    for name in (*binary, "xor", "lshift", "rshift"):
        for prefix in ("", "r", "i"):
            setattr(FakeArray, f"__{prefix}{name}__", _operator(f"__{prefix}{name}__"))
    for name in ("eq", "ne", "lt", "le", "gt", "ge", "divmod"):
        setattr(FakeArray, f"__{name}__", _operator(f"__{name}__"))
    for name in ("neg", "pos", "abs", "invert"):
        function = getattr(np.ndarray, f"__{name}__")
        setattr(FakeArray, f"__{name}__", lambda self, f=function: _fake(f(self._host)))


def _operator(name: str) -> Callable[[FakeArray, Any], Any]:
    """An operator that declines whatever is neither a fake array nor a number."""
    inplace = name.startswith("__i") and name != "__invert__"

    def apply(self: FakeArray, other: Any) -> Any:
        if not isinstance(other, (FakeArray, *_OPERAND)):
            return NotImplemented
        result = getattr(self._host, name)(_host(other))
        if result is NotImplemented:
            return result
        if inplace:
            self._host = result
            return self
        return _fake(result)

    return apply


_bind_methods()


class FakeBackend(Backend):
    """Arrays of the fake device."""

    device_type = "fake"
    xp = FakeNamespace()
    array_type = FakeArray

    def device_of(self, array: FakeArray) -> device:
        """Return ``device("fake")``."""
        return _FAKE

    def asarray(self, value: Any, np_dtype: Any = None) -> FakeArray:
        """Return `value` on the fake device: itself if it is there in this dtype, else a copy."""
        if isinstance(value, FakeArray):
            return FakeArray(value._host.astype(np_dtype or value.dtype, copy=False))
        return FakeArray(np.array(value, dtype=np_dtype))

    def to_host(self, array: FakeArray) -> np.ndarray:
        """Return a copy on the host."""
        return array.get()

    def data_ptr(self, array: FakeArray) -> int:
        """Return the address of the first element, in bytes."""
        address: int = array._host.__array_interface__["data"][0]
        return address


def _kernel(name: str) -> Callable[..., Any]:
    """A whole kernel, which a device's own library would bring: the CPU's, behind the wall."""

    def run(self: FakeBackend, *args: Any, **keywords: Any) -> Any:
        given = {key: _host(value) for key, value in keywords.items()}
        return _fake(getattr(CPU, name)(*(_host(a) for a in args), **given))

    run.__name__ = name
    return run


for _name in (*KERNEL_NAMES, "scientific_library"):
    setattr(FakeBackend, _name, _kernel(_name))
register_backend(FakeBackend())
