"""Products of vectors, and matrices made of powers."""

from __future__ import annotations

from disttorch.autograd.op import public
from disttorch.dtype import TYPE_NAMES, promote_types
from disttorch.ops.cast import cast
from disttorch.ops.cast_complex import conj
from disttorch.ops.join import cat
from disttorch.ops.matmul import matmul
from disttorch.ops.out import accepts_out
from disttorch.ops.reduce import widened
from disttorch.ops.shape import broadcast_tensors
from disttorch.ops.shape_region import diagonal
from disttorch.tensor import Tensor

__all__ = [
    *("cross", "linalg_cross", "linalg_diagonal", "linalg_matmul", "linalg_vander"),
    *("linalg_vecdot", "vander"),
]


def _crossed(a: Tensor, b: Tensor, dim: int) -> Tensor:
    a, b = broadcast_tensors(a, b)
    d = a._dim(dim)
    right, left = (1, 2)
    return a.roll(-right, d) * b.roll(-left, d) - a.roll(-left, d) * b.roll(-right, d)


@public(function=False)
@accepts_out
def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """Cross product of vectors of three elements along `dim`, broadcast."""
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    lengths = [t._array.shape[t._dim(dim)] for t in (input, other)]
    if lengths != [3, 3]:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {lengths[0]} and "
            f"{lengths[1]}"
        )
    return _crossed(input, other, dim)


@public(method=True)
@accepts_out
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """Cross product along `dim`, by default the first dimension of length 3."""
    if dim is None:
        for d, n in enumerate(input._array.shape):
            if n == 3:
                return linalg_cross(input, other, dim=d)
        raise RuntimeError("no dimension of size 3 in input")
    return linalg_cross(input, other, dim=dim)


@public(function=False)
@accepts_out
def linalg_vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Sum of ``conj(x) * y`` along `dim`, broadcast."""
    if x.dtype is not y.dtype:
        raise RuntimeError(
            "linalg.vecdot: Expected x and y to have the same dtype, but found x of type "
            f"{TYPE_NAMES[x.dtype]} and y of type {TYPE_NAMES[y.dtype]} instead"
        )
    return (conj(x) * y).sum(dim, dtype=x.dtype)


@public(function=False)
@accepts_out
def linalg_matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product; see ``matmul``."""
    return matmul(input, other)


@public(function=False)
def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """View of the diagonals of matrices; see ``diagonal``."""
    return diagonal(A, offset, dim1, dim2)


def _powers(x: Tensor, n: int) -> Tensor:
    """1, x, x^2, ... x^(n - 1) along a new last dimension."""
    column = x.unsqueeze(-1)
    ones = column.new_ones(column._array.shape)
    if n == 1:
        return ones
    column = widened(column, None)
    steps = column
    if n > 2:
        steps = column.expand(*x._array.shape, n - 1).cumprod(-1)
    return cat([ones.to(steps.dtype), steps], -1)


@public(function=False)
def linalg_vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Vandermonde matrices: (*, n) -> (*, n, N) with powers 0 .. N - 1; N is n by default."""
    if not x.ndim:
        x = x.reshape(1)
    n = x._array.shape[-1] if N is None else N
    if n <= 1:
        raise RuntimeError("N must be greater than 1.")
    return _powers(x, n)


@public()
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Vandermonde matrix (n, N) of a vector, powers falling, or rising if `increasing`."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x._array.shape[0] if N is None else N
    if n < 0:
        raise RuntimeError("N must be non-negative.")
    if not n:
        kind = promote_types(x.dtype, x.dtype)
        return cast(x.new_empty((x._array.shape[0], 0)), kind)
    powers = _powers(x, n)
    return powers if increasing else powers.flip(-1)
