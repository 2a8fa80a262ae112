"""Eigenvalues and eigenvectors."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.dtype import TYPE_NAMES
from disttorch.errors import LinAlgError
from disttorch.ops.linalg_matrix import (
    PartialGrads,
    adjoint,
    as_diagonal,
    diagonal_of,
    differences,
    require_kernel,
    require_square,
)
from disttorch.ops.linalg_solve import Solve
from disttorch.ops.out import accepts_out
from disttorch.return_types import linalg_eig as EigResult
from disttorch.return_types import linalg_eigh as EighResult
from disttorch.tensor import Tensor

__all__ = ["linalg_eig", "linalg_eigh", "linalg_eigvals", "linalg_eigvalsh"]

Array = Any

_PHASE = (
    "{}_backward: The eigenvectors in the complex case are specified up to multiplication by "
    "e^{{i phi}}. The specified loss function depends on this quantity, so it is ill-defined."
)
_DIVERGED = (
    "{}: The algorithm failed to converge because the input matrix is ill-conditioned or has too "
    "many repeated eigenvalues (error code: {})."
)


def refuse_phase(ctx: Op, diagonal: Any, text: str) -> None:
    """Raise if a loss depends on the phases of complex vectors, which nothing determines."""
    array = getattr(diagonal, "_array", diagonal)
    if bool((ctx.xp.abs(array.imag) > 1e-2).any()):
        raise RuntimeError(text)


class Eigh(PartialGrads):
    """Eigenvalues (..., n), ascending, and eigenvectors of Hermitian a (..., n, n)."""

    torch_name = "LinalgEighBackward0"

    def forward(ctx, a: Array, triangle: str) -> tuple[Array, Array]:
        ctx.save_output(0, 1)
        if not a.size:
            return ctx.xp.zeros(a.shape[:-1], a.real.dtype), ctx.xp.zeros(a.shape, a.dtype)
        values, vectors = ctx.xp.linalg.eigh(a, UPLO=triangle)
        return values, vectors

    def backward(ctx, g_values: Any, g_vectors: Any) -> Any:
        if g_values is None and g_vectors is None:
            return None
        values, v = ctx.saved
        F = ctx.F
        h = adjoint(F, v)
        if g_vectors is None:
            return F.matmul(v * F.unsqueeze(g_values, -2), h)
        turned = F.matmul(h, g_vectors)
        on_diagonal = diagonal_of(ctx, turned)
        if v.dtype != values.dtype:
            refuse_phase(ctx, on_diagonal, _PHASE.format("linalg_eigh"))
        inner = (turned - as_diagonal(ctx, on_diagonal)) / differences(ctx, values)
        if g_values is not None:
            inner = inner + as_diagonal(ctx, g_values)
        return F.matmul(v, F.matmul(inner, h))


class Eig(PartialGrads):
    """Complex eigenvalues (..., n) and eigenvectors of length 1 of any a (..., n, n)."""

    torch_name = "LinalgEigBackward0"

    def forward(ctx, a: Array) -> tuple[Array, Array]:
        ctx.save_output(0, 1)
        ctx.real = a.dtype.kind != "c"
        return ctx.backend.eig(a)

    def backward(ctx, g_values: Any, g_vectors: Any) -> Any:
        if g_values is None and g_vectors is None:
            return None
        values, v = ctx.saved
        F = ctx.F
        h = adjoint(F, v)
        if g_vectors is None:
            inner = as_diagonal(ctx, g_values)
        else:
            turned = F.matmul(h, g_vectors)
            on_diagonal = diagonal_of(ctx, turned)
            refuse_phase(ctx, on_diagonal, _PHASE.format("linalg_eig"))
            # Vectors keep their length: what would change it is taken out.
            kept = F.matmul(h, v) * F.unsqueeze(F.real(on_diagonal), -2)
            inner = turned - kept
            inner = inner - as_diagonal(ctx, diagonal_of(ctx, inner))
            inner = inner / F.conj(differences(ctx, values))
            if g_values is not None:
                inner = inner + as_diagonal(ctx, g_values)
        ga = ctx.call(Solve, h, F.matmul(inner, h))[0]
        return F.real(ga) if ctx.real else ga


def _require_finite(A: Tensor, name: str) -> None:
    if not bool(A.backend.xp.isfinite(A._array).all()):
        raise RuntimeError(f"{name}: input tensor should not contain infs or NaNs.")


def _any_matrix(A: Tensor, name: str) -> tuple[Tensor, Tensor]:
    require_square(A, name)
    if A._array.dtype.kind not in "fcV":
        raise RuntimeError(f"Unknown Complex ScalarType for {TYPE_NAMES[A.dtype]}")
    require_kernel(A, "linalg_eig_out_cpu")
    _require_finite(A, "torch.linalg.eig")
    return Eig.apply(A)


def _hermitian(A: Tensor, triangle: str) -> tuple[Tensor, Tensor]:
    require_square(A, "linalg.eigh")
    if triangle.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {triangle}")
    require_kernel(A, "linalg_eigh_cpu")
    if not bool(A.backend.xp.isfinite(A._array).all()):
        raise LinAlgError(_DIVERGED.format("linalg.eigh", A._array.shape[-1] - 1))
    return Eigh.apply(A, triangle=triangle.upper())


@public(function=False)
@accepts_out
def linalg_eig(A: Tensor) -> Any:
    """Complex eigenvalues (*, n) and eigenvectors (*, n, n), as columns, of (*, n, n)."""
    return EigResult(_any_matrix(A, "linalg.eig"))


@public(function=False)
@accepts_out
def linalg_eigvals(A: Tensor) -> Tensor:
    """Complex eigenvalues (*, n) of (*, n, n)."""
    return _any_matrix(A, "linalg.eigvals")[0]


@public(function=False)
@accepts_out
def linalg_eigh(A: Tensor, UPLO: str = "L") -> Any:
    """Eigenvalues (*, n), ascending, and eigenvectors (*, n, n) of Hermitian (*, n, n).

    Only the lower ("L") or upper ("U") triangle is read.
    """
    return EighResult(_hermitian(A, UPLO))


@public(function=False)
@accepts_out
def linalg_eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """Eigenvalues (*, n), ascending, of Hermitian (*, n, n), of which one triangle is read."""
    return _hermitian(A, UPLO)[0]
