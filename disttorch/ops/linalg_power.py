"""Powers, exponentials and chains of products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.dtype import float32
from disttorch.ops.cast import cast
from disttorch.ops.linalg_matrix import IdentityLike, adjoint, require_floating, require_square
from disttorch.ops.linalg_solve import linalg_inv
from disttorch.ops.matmul import matmul
from disttorch.ops.out import accepts_out
from disttorch.ops.shape_region import BasicIndex
from disttorch.tensor import Tensor

__all__ = [
    *("chain_matmul", "linalg_matrix_exp", "linalg_matrix_power", "linalg_multi_dot"),
    *("matrix_exp", "matrix_power"),
]

Array = Any


def _power(A: Tensor, n: int) -> Tensor:
    if not isinstance(n, int):
        raise TypeError(
            f"linalg_matrix_power(): argument 'n' (position 2) must be int, not {type(n).__name__}"
        )
    require_square(A, "linalg.matrix_power")
    if n == 0:
        return IdentityLike.apply(A)
    if n < 0:
        A, n = linalg_inv(A), -n
    result: Tensor | None = None
    while True:
        if n & 1:
            result = A if result is None else matmul(result, A)
        n >>= 1
        if not n:
            break
        A = matmul(A, A)
    assert result is not None
    return result


@public(function=False)
@accepts_out
def linalg_matrix_power(A: Tensor, n: int) -> Tensor:
    """Product of n factors A (*, m, m), of the inverse for negative n; n = 0: the identity."""
    result = _power(A, n)
    return result.clone() if result is A else result


@public(method=True)
@accepts_out
def matrix_power(input: Tensor, n: int) -> Tensor:
    """Product of n factors (*, m, m); see ``linalg.matrix_power``."""
    return linalg_matrix_power(input, n)


# ---- exponential ---------------------------------------------------------------------------------

# Higham, "The scaling and squaring method for the matrix exponential revisited" (2005): the
# numerator of the [13/13] Pade approximant, good to double precision up to this 1-norm.
_PADE = (
    *(64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000),
    *(10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1),
)
_PADE_NORM = 5.371920351148152


class MatrixExp(Op):
    """Sum of the powers of a (..., n, n) over the factorials."""

    torch_name = "LinalgMatrixExpBackward0"

    def forward(ctx, a: Array) -> Array:
        ctx.save(0)
        xp = ctx.xp
        if not a.size:
            return a.copy()
        norm = float(xp.abs(a).sum(-2).max())
        squarings = 0
        while norm > _PADE_NORM and norm < float("inf"):
            norm, squarings = norm / 2, squarings + 1
        y = _pade(xp, a / xp.asarray(2.0**squarings, a.real.dtype))
        for _ in range(squarings):
            y = xp.matmul(y, y)
        return y

    def backward(ctx, g: Any) -> Any:
        # The exponential of [[h, g], [0, h]] has the derivative along g in its corner.
        (a,) = ctx.saved
        F, n = ctx.F, a.shape[-1]
        h = adjoint(F, a)
        last = a.ndim - 1
        rows = [F.cat([h, g], last), F.cat([F.zeros_like(h), h], last)]
        both = ctx.call(MatrixExp, F.cat(rows, last - 1))
        return ctx.call(BasicIndex, both, index=(Ellipsis, slice(n), slice(n, 2 * n)))


def _pade(xp: Any, a: Array) -> Array:
    """The rational approximation of the exponential for a small a."""
    b, eye = _PADE, xp.eye(a.shape[-1], dtype=a.dtype)
    a2 = xp.matmul(a, a)
    a4 = xp.matmul(a2, a2)
    a6 = xp.matmul(a4, a2)
    high = xp.matmul(a6, b[13] * a6 + b[11] * a4 + b[9] * a2)
    odd = xp.matmul(a, high + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * eye)
    high = xp.matmul(a6, b[12] * a6 + b[10] * a4 + b[8] * a2)
    even = high + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * eye
    return xp.linalg.solve(even - odd, even + odd)


def _exponential(A: Tensor) -> Tensor:
    narrow = A._array.dtype.kind in "fV" and A._array.dtype.itemsize == 2
    if not narrow:
        require_floating(A, "linalg.matrix_exp")
    require_square(A, "linalg.matrix_exp")
    return cast(MatrixExp.apply(cast(A, float32)), A.dtype) if narrow else MatrixExp.apply(A)


@public(function=False)
@accepts_out
def linalg_matrix_exp(A: Tensor) -> Tensor:
    """Matrix exponential of (*, n, n)."""
    return _exponential(A)


@public(method=True)
def matrix_exp(input: Tensor) -> Tensor:
    """Matrix exponential of (*, n, n)."""
    return _exponential(input)


# ---- chains --------------------------------------------------------------------------------------


def best_order(sizes: Sequence[int]) -> list[list[int]]:
    """Where to split each chain i..j of matrices ``sizes[i]`` x ``sizes[i + 1]``; cheapest."""
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            costs = [
                cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                for k in range(i, j)
            ]
            cost[i][j] = min(costs)
            split[i][j] = i + costs.index(cost[i][j])
    return split


def _check_chain(tensors: Sequence[Tensor]) -> None:
    last = len(tensors) - 1
    for i, t in enumerate(tensors):
        if t._array.ndim != 2 and not (i in (0, last) and t._array.ndim == 1):
            ends = " or 1D" if i in (0, last) else ""
            which = "the first tensor" if i == 0 else "the last tensor" if i == last else ""
            if ends:
                raise RuntimeError(
                    f"multi_dot(): {which} must be 1D or 2D but got {t._array.ndim}D"
                )
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {t._array.ndim}D")
    for i, (a, b) in enumerate(pairwise(tensors)):
        if a._array.shape[-1] != b._array.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(a.shape)} and "
                f"{list(b.shape)} cannot be multiplied"
            )


@public(function=False)
@accepts_out
def linalg_multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """Product of two or more matrices in the cheapest order; the first and last may be vectors."""
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    _check_chain(tensors)
    first, last = tensors[0]._array.ndim == 1, tensors[-1]._array.ndim == 1
    chain = list(tensors)
    if first:
        chain[0] = chain[0].unsqueeze(0)
    if last:
        chain[-1] = chain[-1].unsqueeze(-1)
    split = best_order([*(t._array.shape[0] for t in chain), chain[-1]._array.shape[1]])

    def product(i: int, j: int) -> Tensor:
        if i == j:
            return chain[i]
        k = split[i][j]
        return matmul(product(i, k), product(k + 1, j))

    result = product(0, len(chain) - 1)
    if last:
        result = result.squeeze(-1)
    return result.squeeze(0) if first else result


@public()
@accepts_out
def chain_matmul(*matrices: Tensor) -> Tensor:
    """Product of matrices in the cheapest order; see ``linalg.multi_dot``."""
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    if len(matrices) == 1:
        return matrices[0]
    return linalg_multi_dot(matrices)
