"""Element types with PyTorch's names, default dtypes and PyTorch's promotion rules.

Promotion differs from NumPy's: an int64 tensor times a float32 tensor is float32, and 0-d tensors
and Python numbers only decide the result when they are of a higher category than the rest
(https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc).
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import ml_dtypes
import numpy as np


class Category(IntEnum):
    """Promotion category of a dtype; a higher one always wins."""

    BOOL = 0
    INTEGRAL = 1
    FLOATING = 2
    COMPLEX = 3


class dtype:
    """An element type such as ``disttorch.float32``; one instance a type, compared by identity.

    `is_integral`: the integer types, not bool.
    """

    __slots__ = (
        *("category", "is_complex", "is_floating_point", "is_integral", "is_signed", "itemsize"),
        *("name", "np"),
    )

    def __init__(self, name: str, np_type: Any, category: Category) -> None:
        self.name = name
        self.np = np.dtype(np_type)
        self.category = category
        self.itemsize = self.np.itemsize
        self.is_signed = not name.startswith(("uint", "bool"))
        # Attributes, not properties: operators ask for them on every call.
        self.is_floating_point = category is Category.FLOATING
        self.is_complex = category is Category.COMPLEX
        self.is_integral = category is Category.INTEGRAL

    def to_real(self) -> dtype:
        """Real type of the same precision: complex64 -> float32; real types return themselves."""
        return _REAL_OF.get(self, self)

    def to_complex(self) -> dtype:
        """Complex type of the same precision: float64 -> complex128, the others complex64."""
        return self if self.is_complex else complex128 if self is float64 else complex64

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return dtype_by_name, (self.name,)


float16 = half = dtype("float16", np.float16, Category.FLOATING)
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, Category.FLOATING)
float32 = float = dtype("float32", np.float32, Category.FLOATING)
float64 = double = dtype("float64", np.float64, Category.FLOATING)
complex64 = cfloat = dtype("complex64", np.complex64, Category.COMPLEX)
complex128 = cdouble = dtype("complex128", np.complex128, Category.COMPLEX)
uint8 = dtype("uint8", np.uint8, Category.INTEGRAL)
uint16 = dtype("uint16", np.uint16, Category.INTEGRAL)
uint32 = dtype("uint32", np.uint32, Category.INTEGRAL)
uint64 = dtype("uint64", np.uint64, Category.INTEGRAL)
int8 = dtype("int8", np.int8, Category.INTEGRAL)
int16 = short = dtype("int16", np.int16, Category.INTEGRAL)
int32 = int = dtype("int32", np.int32, Category.INTEGRAL)
int64 = long = dtype("int64", np.int64, Category.INTEGRAL)
bool = dtype("bool", np.bool_, Category.BOOL)

ALL = (
    *(float16, bfloat16, float32, float64, complex64, complex128),
    *(uint8, uint16, uint32, uint64, int8, int16, int32, int64, bool),
)
_BY_NAME = {d.name: d for d in ALL}
_BY_NP = {d.np: d for d in ALL}
_REAL_OF = {complex64: float32, complex128: float64}
# Names of the CPU tensor types, as `Tensor.type()` and cast errors spell them.
TYPE_NAMES = {
    **{float16: "Half", bfloat16: "BFloat16", float32: "Float", float64: "Double"},
    **{complex64: "ComplexFloat", complex128: "ComplexDouble", uint8: "Byte", int8: "Char"},
    **{int16: "Short", int32: "Int", int64: "Long", bool: "Bool"},
    **{uint16: "UInt16", uint32: "UInt32", uint64: "UInt64"},
}
# Names of the C++ types, as PyTorch's errors about numbers and mixed operands spell them.
CPP_NAMES = {
    **{float16: "c10::Half", bfloat16: "c10::BFloat16", float32: "float", float64: "double"},
    **{complex64: "c10::complex<float>", complex128: "c10::complex<double>", bool: "bool"},
    **{uint8: "uint8_t", int8: "int8_t", int16: "int16_t", int32: "int", int64: "int64_t"},
    **{uint16: "uint16_t", uint32: "uint32_t", uint64: "uint64_t"},
}


def c_name(d: dtype) -> str:
    """Name of a dtype in PyTorch's errors about two tensors: "long int", "float"."""
    return {"int64": "long int", "uint8": "unsigned char", "int16": "short int"}.get(
        d.name, CPP_NAMES[d]
    )


def dtype_by_name(name: str) -> dtype:
    """Return the dtype called `name` (without the `torch.` prefix); KeyError if there is none."""
    return _BY_NAME[name]


def from_numpy_dtype(np_dtype: Any) -> dtype:
    """Return the dtype of a NumPy dtype.

    Raises, with PyTorch's texts, TypeError for types no tensor can hold (object, str, float128...)
    and ValueError for numbers in foreign byte order.
    """
    try:
        return _BY_NP[np_dtype]
    except (KeyError, TypeError):
        native = np.dtype(np_dtype).newbyteorder("=")
        if native in _BY_NP and np.dtype(np_dtype).isnative:
            return _BY_NP[native]
        if native in _BY_NP:
            raise ValueError(
                "given numpy array has byte order different from the native byte order. "
                "Conversion between byte orders is currently not supported."
            ) from None
    raise TypeError(
        f"can't convert np.ndarray of type {np.dtype(np_dtype).type.__module__}."
        f"{np.dtype(np_dtype).type.__name__}. The only supported types are: float64, float32, "
        "float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, "
        "and bool."
    )


class _ByNumpy(dict[Any, dtype]):
    """Dtypes by NumPy's, in one look-up; for others what `from_numpy_dtype` finds or raises."""

    def __missing__(self, np_dtype: Any) -> dtype:
        return from_numpy_dtype(np_dtype)


BY_NUMPY = _ByNumpy(_BY_NP)


_OF_PYTHON = {
    **{builtins.float: float64, builtins.int: int64, builtins.bool: bool},
    builtins.complex: complex128,
}


def as_dtype(given: Any) -> Any:
    """Return what a `dtype` argument means: a dtype or a Python type; None stays None.

    Raises TypeError for anything else.
    """
    if given is None or isinstance(given, dtype):
        return given
    if isinstance(given, type) and given in _OF_PYTHON:
        return _OF_PYTHON[given]
    raise TypeError(f"argument 'dtype' must be torch.dtype, not {type(given).__name__}")


class _Default:
    """The process-wide default floating dtype; a class so that rebinding is visible everywhere."""

    floating = float32


def get_default_dtype() -> dtype:
    """Return the floating dtype of tensors made from Python floats."""
    return _Default.floating


def set_default_dtype(d: dtype) -> None:
    """Set the floating dtype of tensors made from Python floats; TypeError if not floating."""
    if not isinstance(d, dtype):
        raise TypeError(
            "invalid dtype object: only floating-point types are supported as the default type"
        )
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _Default.floating = d


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """Smallest dtype that both convert to, by PyTorch's lattice; TypeError for no dtypes."""
    if type1 is type2:
        return type1
    for i, given in enumerate((type1, type2), 1):
        if not isinstance(given, dtype):
            raise TypeError(
                f"promote_types(): argument 'type{i}' (position {i}) must be torch.dtype, not "
                f"{type(given).__name__}"
            )
    low, high = sorted((type1, type2), key=lambda d: d.category)
    if low.category is not high.category:
        return complex128 if high.is_complex and low is float64 else high
    if high.is_floating_point:
        if low.itemsize == high.itemsize:
            return float32  # float16 with bfloat16: neither holds the other
        return max(low, high, key=lambda d: d.itemsize)
    return from_numpy_dtype(np.promote_types(low.np, high.np))


_NUMBERS = {"i": builtins.int, "f": builtins.float, "c": builtins.complex}


def scalar_dtype(value: Any) -> dtype:
    """Dtype a Python number stands for in promotion; TypeError for anything else."""
    if value is True or value is False or isinstance(value, np.bool_):
        return bool
    if isinstance(value, np.generic):
        kind = value.dtype.kind
    else:  # members of an IntEnum are ints, too
        kind = next((k for k, numbers in _NUMBERS.items() if isinstance(value, numbers)), "O")
    if kind in "iu":
        return int64
    if kind == "f":
        return _Default.floating
    if kind == "c":
        return _Default.floating.to_complex()
    raise TypeError(f"expected a number or a Tensor, got {type(value).__name__}")


def _combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """Let `lower` (0-d tensors, then numbers) widen `higher` only across categories."""
    if higher is None or lower is None:
        return higher or lower
    if lower.category <= higher.category and higher.category is not Category.BOOL:
        return higher
    if lower.category is Category.INTEGRAL and higher.category is Category.INTEGRAL:
        return higher
    if lower.category is Category.COMPLEX and higher.category is Category.FLOATING:
        lower = complex64  # the precision is that of `higher`
    return promote_types(higher, lower)


def promote_operands(
    dimensioned: Iterable[dtype], zero_dim: Iterable[dtype] = (), numbers: Iterable[dtype] = ()
) -> dtype:
    """Result dtype of an operator given the dtypes of its operands in the three priority classes.

    Raises ValueError when there is no operand at all.
    """
    result: dtype | None = None
    for group in (dimensioned, zero_dim, numbers):
        within: dtype | None = None
        for d in group:
            within = d if within is None else promote_types(within, d)
        result = _combine(result, within)
    if result is None:
        raise ValueError("at least one operand is needed to find a result dtype")
    return result


def can_cast(from_: dtype, to: dtype) -> builtins.bool:
    """Whether PyTorch's in-place rules allow `from_` to be written into `to`."""
    return from_.category <= to.category


class _Info:
    """Numeric limits of a dtype."""

    def __init__(self, type: dtype, limits: Any, names: tuple[str, ...]) -> None:
        self.dtype = type.name
        self._names = names
        for name in names:
            value = getattr(limits, name)
            if name == "resolution":
                value = 10.0**-limits.precision
            whole = isinstance(value, builtins.int)
            setattr(self, name, value if whole else builtins.float(value))

    def __repr__(self) -> str:
        shown = [(n, getattr(self, n)) for n in self._names if n != "bits"]
        fields = ", ".join(
            f"{n}={v:g}" if isinstance(v, builtins.float) else f"{n}={v}" for n, v in shown
        )
        return f"{type(self).__name__}({fields}, dtype={self.dtype})"


class finfo(_Info):
    """Limits of a floating dtype: bits, eps, max, min, tiny, smallest_normal, resolution."""

    def __init__(self, type: dtype | None = None) -> None:
        if type is not None and not isinstance(type, dtype):
            kind = type.__class__.__name__
            raise TypeError(
                f"finfo(): argument 'type' (position 1) must be torch.dtype, not {kind}"
            )
        chosen = (type or _Default.floating).to_real()
        if not chosen.is_floating_point:
            raise TypeError(
                f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                f"'{chosen}'"
            )
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny", "bits")
        super().__init__(chosen, ml_dtypes.finfo(chosen.np), names)


class iinfo(_Info):
    """Limits of an integral dtype: bits, max, min."""

    def __init__(self, type: dtype) -> None:
        if not type.is_integral:
            raise TypeError(
                f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'"
            )
        super().__init__(type, np.iinfo(type.np), ("min", "max", "bits"))
