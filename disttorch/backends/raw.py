"""`F` for raw arrays: PyTorch's names and conventions on top of a NumPy-like namespace.

Backward formulas are written once against operators and `ctx.F`. In an ordinary sweep `F` is an
instance of this class and its operands are arrays, so that no Tensor and no graph is made; with
``create_graph=True`` it is `disttorch.ops.recorded.RecordedFunctions`, the same names on Tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Array = Any

# Functions that NumPy and PyTorch spell and define alike.
_SHARED = (
    *("exp", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh"),
    *("tanh", "abs", "sign", "floor", "maximum", "minimum", "where", "zeros_like", "ones_like"),
    *("matmul", "isnan", "logical_not", "trunc", "exp2"),
)


class RawFunctions:
    """Array functions with PyTorch's signatures; a test holds its names equal to the recorded ones.

    `x`, `a`, `b` are arrays of one backend; results are arrays (0-d results may be scalars of the
    array library, which behave alike in every formula).
    """

    recorded = False

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        for name in _SHARED:
            setattr(self, name, getattr(xp, name))

    def conj(self, x: Array) -> Array:
        """Complex conjugate; a real array comes back as it is."""
        try:
            return x if x.dtype.kind != "c" else self.xp.conj(x)
        except AttributeError:  # a saved operand may be a Python number
            return x.conjugate()

    def sgn(self, x: Array) -> Array:
        """Sign of a real x, x / |x| of a complex one (0 at 0)."""
        if x.dtype.kind != "c":
            return self.xp.sign(x)
        size = self.xp.abs(x)
        return x / self.xp.where(size == 0, size.dtype.type(1), size)

    def real(self, x: Array) -> Array:
        """Real part; a real array comes back as it is."""
        return x.real if x.dtype.kind == "c" else x

    def imag(self, x: Array) -> Array:
        """Imaginary part of a complex array."""
        return x.imag

    def complex(self, real: Array, imag: Array) -> Array:
        """Complex array from its real and imaginary part."""
        return real + imag * 1j

    def sum(self, x: Array, dim: Any = None, keepdim: bool = False) -> Array:
        """Sum over `dim` (int, tuple of ints, or None for all)."""
        return self.xp.sum(x, axis=dim, keepdims=keepdim, dtype=x.dtype)

    def cumsum(self, x: Array, dim: int) -> Array:
        """Running sum along `dim`."""
        return self.xp.cumsum(x, axis=dim, dtype=x.dtype)

    def flip(self, x: Array, dims: Sequence[int]) -> Array:
        """Reverse the order of the elements along `dims`."""
        return self.xp.flip(x, tuple(dims))

    def expand(self, x: Array, shape: Sequence[int]) -> Array:
        """Broadcast `x` to `shape` without copying."""
        return self.xp.broadcast_to(x, tuple(shape))

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        """Same elements in row-major order, other shape."""
        return self.xp.reshape(x, tuple(shape))

    def permute(self, x: Array, dims: Sequence[int]) -> Array:
        """Reorder the dimensions."""
        return self.xp.transpose(x, tuple(dims))

    def transpose(self, x: Array, dim0: int, dim1: int) -> Array:
        """Swap two dimensions."""
        return self.xp.swapaxes(x, dim0, dim1)

    def unsqueeze(self, x: Array, dim: int) -> Array:
        """Insert a dimension of length 1 at `dim`."""
        return self.xp.expand_dims(x, dim)

    def squeeze(self, x: Array, dim: int) -> Array:
        """Drop dimension `dim`, which is of length 1."""
        return self.xp.squeeze(x, dim)

    def cat(self, tensors: Sequence[Array], dim: int = 0) -> Array:
        """Join along an existing dimension."""
        return self.xp.concatenate(tensors, axis=dim)

    def stack(self, tensors: Sequence[Array], dim: int = 0) -> Array:
        """Join along a new dimension."""
        return self.xp.stack(tensors, axis=dim)

    def tril(self, x: Array, diagonal: int = 0) -> Array:
        """Lower triangle of the last two dimensions."""
        return self.xp.tril(x, diagonal)

    def triu(self, x: Array, diagonal: int = 0) -> Array:
        """Upper triangle of the last two dimensions."""
        return self.xp.triu(x, diagonal)

    def type_as(self, x: Array, other: Array) -> Array:
        """`x` in the dtype of `other`."""
        return x.astype(other.dtype, copy=False)


FUNCTION_NAMES = (
    *_SHARED,
    *(name for name in vars(RawFunctions) if not name.startswith("_") and name != "recorded"),
)
