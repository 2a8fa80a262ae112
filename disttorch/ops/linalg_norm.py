"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from disttorch.autograd.op import public
from disttorch.dtype import TYPE_NAMES, can_cast
from disttorch.dtype import dtype as Dtype
from disttorch.ops.cast import cast
from disttorch.ops.linalg_matrix import require_floating, require_matrix
from disttorch.ops.linalg_solve import linalg_inv_ex
from disttorch.ops.linalg_svd import linalg_svdvals
from disttorch.ops.out import accepts_out
from disttorch.ops.reduce import Dims, normalized_dims
from disttorch.ops.reduce_extreme import amax, amin
from disttorch.ops.reduce_norm import Norm
from disttorch.tensor import Tensor

__all__ = [
    *("frobenius_norm", "linalg_cond", "linalg_matrix_norm", "linalg_norm", "linalg_vector_norm"),
    *("norm_except_dim", "nuclear_norm"),
]


def _converted(x: Tensor, dtype: Dtype | None, name: str) -> Tensor:
    """`x` in the dtype to compute in; RuntimeError for one that is not wider."""
    if x._array.dtype.kind not in "fcV":
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got "
            f"{TYPE_NAMES[x.dtype]}"
        )
    if dtype is None:
        return x
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(
            f"{name}: dtype should be floating point or complex, but got {TYPE_NAMES[dtype]}"
        )
    if dtype.is_complex != x.dtype.is_complex:
        own, kind = ("complex", "complex") if x.dtype.is_complex else ("real", "real")
        raise RuntimeError(
            f"{name}: dtype should be {own} for {kind} inputs, but got {TYPE_NAMES[dtype]}"
        )
    if not can_cast(x.dtype, dtype) or x.dtype.itemsize > dtype.itemsize:
        raise RuntimeError(
            f"{name}: the dtype of the input ({TYPE_NAMES[x.dtype]}) should be convertible without "
            f"narrowing to the specified dtype ({TYPE_NAMES[dtype]})"
        )
    return cast(x, dtype)


def _refuse_empty(x: Tensor, order: float, dims: tuple[int, ...], all_of_it: bool) -> None:
    """Raise if there is nothing to take the largest or smallest of."""
    if x.numel() or not (order < 0 or order == inf):
        return
    name = "linalg.vector_norm cannot compute the"
    shown = order if abs(order) == inf or order % 1 else int(order)
    if all_of_it:
        raise RuntimeError(
            f"{name} {shown} norm on an empty tensor because the operation does not have an "
            "identity"
        )
    for d in dims:
        if not x._array.shape[d]:
            raise RuntimeError(
                f"{name} {shown} norm on the dimension {d}because this dimension is empty and the "
                "operation does not have an identity"
            )


@public(function=False)
@accepts_out
def linalg_vector_norm(
    x: Tensor,
    ord: float = 2,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Dtype | None = None,
) -> Tensor:
    """``sum(|x|^ord)^(1/ord)`` of all elements or over `dim`; the result is real.

    `ord` may be inf (largest), -inf (smallest) and 0 (how many are not 0).
    """
    x = _converted(x, dtype, "linalg.vector_norm")
    everything = dim is None or (not isinstance(dim, int) and not len(dim))
    dims = normalized_dims(x, None if everything else dim)
    _refuse_empty(x, float(ord), dims, everything)
    return Norm.apply(x, p=float(ord), dim=dims, keepdim=keepdim)


def _singular_values(A: Tensor, dims: tuple[int, int]) -> Tensor:
    return linalg_svdvals(A.movedim(dims, (-2, -1)))


def _extreme(sizes: Tensor, dim: int, keepdim: bool, order: float) -> Tensor:
    """The largest (0 of none) or, for a negative order, smallest element."""
    if order > 0 and not sizes._array.shape[dim]:
        return sizes.sum(dim, keepdim)
    return (amax if order > 0 else amin)(sizes, dim, keepdim)


def _spectral(A: Tensor, order: Any, dims: tuple[int, int], keepdim: bool) -> Tensor:
    """Norms 2, -2 and "nuc", from the singular values."""
    sizes = _singular_values(A, dims)
    if order == "nuc":
        result = sizes.sum(-1)
    else:
        result = _extreme(sizes, -1, False, order)
    if keepdim:
        for d in sorted(dims):
            result = result.unsqueeze(d)
    return result


@public(function=False)
@accepts_out
def linalg_matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Dtype | None = None,
) -> Tensor:
    """Norm of matrices in two dimensions: "fro", "nuc", inf, -inf, 1, -1, 2, -2; real."""
    name = "linalg.matrix_norm"
    if A._array.dtype.kind not in "fcV":
        require_floating(A, name)
    require_matrix(A, name)
    pair = tuple(dim) if not isinstance(dim, int) else (dim,)
    if len(pair) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {', '.join(map(str, pair))}")
    rows, columns = (A._dim(d) for d in pair)
    if rows == columns:
        raise RuntimeError(f"{name}: dims must be different. Got ({pair[0]}, {pair[1]})")
    if ord == "fro":
        return linalg_vector_norm(A, 2, pair, keepdim, dtype=dtype)
    if ord != "nuc" and (isinstance(ord, str) or abs(ord) not in (1, 2, inf)):
        shown = ord if isinstance(ord, str) or ord != int(ord) else int(ord)
        raise RuntimeError(f"{name}: Order {shown} not supported.")
    A = _converted(A, dtype, name)
    if ord == "nuc" or abs(ord) == 2:
        return _spectral(A, ord, (rows, columns), keepdim)
    summed, compared = (columns, rows) if abs(ord) == inf else (rows, columns)
    sums = linalg_vector_norm(A, 1, summed, keepdim)
    if not keepdim and compared > summed:
        compared -= 1
    return _extreme(sums, compared, keepdim, ord)


@public(function=False)
@accepts_out
def linalg_norm(
    A: Tensor,
    ord: Any = None,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Dtype | None = None,
) -> Tensor:
    """Vector norm over one dimension (or of everything), matrix norm over two; real."""
    if dim is not None:
        dims = (dim,) if isinstance(dim, int) else tuple(dim)
        if len(dims) not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}"
            )
    elif ord is not None:
        if A.ndim not in (1, 2):
            raise RuntimeError(
                "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                f"{A.ndim}D."
            )
        dims = (0, 1)[: A.ndim]
    if ord is None:
        return linalg_vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if isinstance(ord, str) or len(dims) == 2:
        return linalg_matrix_norm(A, ord, dims, keepdim, dtype=dtype)
    return linalg_vector_norm(A, ord, dims, keepdim, dtype=dtype)


@public(function=False)
@accepts_out
def linalg_cond(A: Tensor, p: Any = None) -> Tensor:
    """Norm of (*, m, n) times norm of its inverse, p as in ``matrix_norm``; inf if singular.

    None, 2 and -2 take the ratio of the singular values and any m and n.
    """
    if A._array.ndim < 2:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    order = 2 if p is None else p
    if isinstance(order, str) and order not in ("fro", "nuc"):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {order}")
    if not isinstance(order, str) and abs(order) == 2:
        sizes = linalg_svdvals(A)
        if not sizes._array.shape[-1]:
            return sizes.sum(-1)
        ends = sizes[..., 0], sizes[..., -1]
        return ends[0] / ends[1] if order == 2 else ends[1] / ends[0]
    m, n = A._array.shape[-2:]
    if m != n:
        shown = order if isinstance(order, str) or abs(order) == inf else int(order)
        raise RuntimeError(
            f"linalg.cond(ord={shown}): A must be batches of square matrices, but they are {m} by "
            f"{n} matrices"
        )
    if not A.numel():
        real = A.abs()
        return real.sum((-2, -1))
    inverse, info = linalg_inv_ex(A)
    product = linalg_matrix_norm(A, order) * linalg_matrix_norm(inverse.nan_to_num(), order)
    return product.masked_fill(info != 0, inf)


# ---- older names ---------------------------------------------------------------------------------


@public()
@accepts_out
def nuclear_norm(input: Tensor, dim: Any = (-2, -1), keepdim: bool = False) -> Tensor:
    """Sum of the singular values of matrices."""
    return linalg_matrix_norm(input, "nuc", dim, keepdim)


@public()
@accepts_out
def frobenius_norm(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Square root of the sum of squares over `dim`."""
    return linalg_vector_norm(input, 2, dim, keepdim)


@public()
def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """Norm over all dimensions but `dim`, which keeps its length, the others get 1."""
    if dim == -1:
        return linalg_vector_norm(v, pow)
    dims = [d for d in range(v.ndim) if d != v._dim(dim)]
    return linalg_vector_norm(v, pow, dims, keepdim=True)
