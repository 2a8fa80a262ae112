"""What the operators on matrices share: refusals with PyTorch's texts, and pieces of formulas."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op
from disttorch.dtype import TYPE_NAMES
from disttorch.errors import LinAlgError
from disttorch.ops.shape_region import Diagonal, Embed
from disttorch.tensor import Tensor

Array = Any

_WIDE = ("float32", "float64", "complex64", "complex128")


class PartialGrads(Op):
    """An op whose `backward` is given None, not zeros, for outputs that nobody used.

    Where eigenvalues repeat, the derivative of their vectors divides by zero, and nothing times
    infinity would spoil the derivative of the values.
    """

    def sweep(self, grads: list[Any], functions: Any) -> Any:
        """Run the backward formula."""
        self.F = functions
        return self.backward(*grads)


class IdentityLike(Op):
    """Identity matrices of the shape of x, whose derivative is zero but exists, as PyTorch's."""

    torch_name = "CopyBackwards"

    def forward(ctx, x: Array) -> Array:
        eye = ctx.xp.eye(*x.shape[-2:], dtype=x.dtype)
        return ctx.xp.array(ctx.xp.broadcast_to(eye, x.shape))

    def backward(ctx, g: Any) -> Any:
        return ctx.F.zeros_like(g)


# ---- refusals ------------------------------------------------------------------------------------


def require_floating(x: Tensor, name: str, kernel: str | None = None) -> None:
    """Raise unless the dtype is float32, float64 or complex; `kernel` refuses 16-bit types."""
    if x._array.dtype.name in _WIDE:
        return
    got = TYPE_NAMES[x.dtype]
    if x._array.dtype.kind in "fV":
        if kernel is not None:
            raise NotImplementedError(f"\"{kernel}\" not implemented for '{got}'")
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {got}")
    raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {got}")


def require_kernel(x: Tensor, kernel: str) -> None:
    """Raise unless the dtype is one that LAPACK's `kernel` has."""
    if x._array.dtype.name not in _WIDE:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{TYPE_NAMES[x.dtype]}'")


def require_matrix(x: Tensor, name: str, argument: str = "A") -> None:
    """Raise unless the tensor has two or more dimensions."""
    if x._array.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")


def require_square(x: Tensor, name: str, argument: str = "A") -> None:
    """Raise unless the tensor is a stack of square matrices."""
    require_matrix(x, name, argument)
    m, n = x._array.shape[-2:]
    if m != n:
        raise RuntimeError(
            f"{name}: {argument} must be batches of square matrices, but they are {m} by {n} "
            "matrices"
        )


def require_same_dtype(a: Tensor, b: Tensor, name: str) -> None:
    """Raise unless both operands have one dtype."""
    if a._array.dtype != b._array.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type "
            f"{TYPE_NAMES[a.dtype]} and B of type {TYPE_NAMES[b.dtype]} instead"
        )


INVERSE = (
    "The diagonal element {} is zero, the inversion could not be completed because the input "
    "matrix is singular."
)
SOLVE = "The solver failed because the input matrix is singular."
CHOLESKY = (
    "The factorization could not be completed because the input is not positive-definite (the "
    "leading minor of order {} is not positive-definite)."
)
LU = (
    "U[{0},{0}] is zero and using it on lu_solve would result in a division by zero. If you still "
    "want to perform the factorization, consider calling linalg.lu(A, pivot) or "
    "linalg.lu_factor_ex(A, pivot)"
)


def check_info(info: Tensor, name: str, text: str, error: type[Exception] = LinAlgError) -> None:
    """Raise for the first matrix of a stack whose `info` is not 0; `text` has a {} for it."""
    codes = info.backend.to_host(info._array).reshape(-1)
    failed = codes.nonzero()[0]
    if failed.size:
        which = f": (Batch element {failed[0]})" if info.ndim else ""
        raise error(f"{name}{which}: {text.format(codes[failed[0]])}")


# ---- pieces of formulas --------------------------------------------------------------------------


def adjoint(F: Any, x: Any) -> Any:
    """Conjugate transpose of the last two dimensions."""
    return F.conj(F.transpose(x, -2, -1))


def transposed(x: Any) -> Any:
    """Transpose of the last two dimensions of a Tensor."""
    return x.transpose(-2, -1)


def diagonal_of(ctx: Op, x: Any) -> Any:
    """The main diagonals (..., k) of matrices."""
    return ctx.call(Diagonal, x, offset=0, dim1=x.ndim - 2, dim2=x.ndim - 1)


def as_diagonal(ctx: Op, v: Any) -> Any:
    """Matrices (..., k, k) with v (..., k) on the main diagonal."""
    shape = (*v.shape, v.shape[-1])
    params = {"offset": 0, "dim1": v.ndim - 1, "dim2": v.ndim}
    return ctx.call(Embed, v, shape=shape, view=Diagonal, params=params)


def differences(ctx: Op, v: Any) -> Any:
    """Matrices of ``v[j] - v[i]`` in row i, column j, with 1 on the diagonal."""
    F, n = ctx.F, v.shape[-1]
    return F.unsqueeze(v, -2) - F.unsqueeze(v, -1) + ctx.constant(ctx.xp.eye(n, dtype=_real(v)))


def _real(v: Any) -> Any:
    name = getattr(v, "_array", v).dtype.name
    return {"complex64": "float32", "complex128": "float64"}.get(name, name)


def real_dtype(x: Array) -> str:
    """NumPy's name of the dtype that the absolute values of an array have."""
    return str(_real(x))
