"""Pseudo-inverses, ranks and least squares."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.dtype import CPP_NAMES, TYPE_NAMES
from disttorch.ops.linalg_matrix import adjoint, require_matrix
from disttorch.ops.out import accepts_out
from disttorch.return_types import linalg_lstsq as LstsqResult
from disttorch.tensor import Tensor

__all__ = ["linalg_lstsq", "linalg_matrix_rank", "linalg_pinv", "pinverse"]

Array = Any
Tolerance = float | Tensor | None

_WIDE = ("float32", "float64", "complex64", "complex128")


def _raw(tolerance: Tolerance) -> Any:
    """A number, or an array that fits beside singular values (..., k)."""
    if isinstance(tolerance, Tensor):
        return tolerance._array[..., None]
    return tolerance


def _relative(xp: Any, a: Array, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """Fill in PyTorch's defaults: a relative tolerance, unless there is an absolute one."""
    if rtol is None:
        default = xp.finfo(a.dtype).eps * max(a.shape[-2:])
        if atol is None:
            rtol = default
        elif hasattr(atol, "shape"):
            rtol = xp.where(atol > 0, 0.0, default)
        else:
            rtol = 0.0 if atol > 0 else default
    return (0.0 if atol is None else atol), rtol


def _significant(xp: Any, a: Array, sizes: Array, atol: Any, rtol: Any) -> Array:
    """Which singular values (..., k), descending or not, are more than rounding error."""
    atol, rtol = _relative(xp, a, atol, rtol)
    if not sizes.shape[-1]:
        return sizes > 0
    return sizes > xp.maximum(xp.asarray(atol), rtol * sizes.max(-1, keepdims=True))


class Pinv(Op):
    """Pseudo-inverse (..., n, m) of a (..., m, n)."""

    torch_name = "LinalgPinvBackward0"

    def forward(ctx, a: Array, atol: Any, rtol: Any, hermitian: bool) -> Array:
        ctx.save(0)
        ctx.save_output()
        xp = ctx.xp
        if not a.size:
            return xp.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
        if hermitian:
            values, u = xp.linalg.eigh(a)
            vh, sizes = xp.conj(xp.swapaxes(u, -2, -1)), xp.abs(values)
        else:
            u, values, vh = xp.linalg.svd(a, full_matrices=False)
            sizes = values
        kept = _significant(xp, a, sizes, atol, rtol)
        inverse = xp.where(kept, 1 / xp.where(kept, values, xp.ones_like(values)), 0)
        inverse = inverse.astype(values.dtype, copy=False)
        v, uh = (xp.conj(xp.swapaxes(t, -2, -1)) for t in (vh, u))
        return xp.matmul(v * inverse[..., None, :], uh)

    def backward(ctx, g: Any) -> Any:
        a, y = ctx.saved
        return _pinv_backward(ctx.F, g, a, y)


def _pinv_backward(F: Any, g: Any, a: Any, y: Any) -> Any:
    """Golub and Pereyra's derivative of the pseudo-inverse y of a, for any constant rank."""
    h, gh = adjoint(F, y), adjoint(F, g)
    if a.shape[-2] <= a.shape[-1]:
        k = F.matmul(gh, y)
        kh = F.matmul(k, h)
        rest = F.matmul(F.matmul(h, y), gh - F.matmul(k, a))
        return kh - adjoint(F, F.matmul(y, k)) - F.matmul(F.matmul(a, y), kh) + rest
    k = F.matmul(y, gh)
    hk = F.matmul(h, k)
    rest = F.matmul(gh - F.matmul(a, k), F.matmul(y, h))
    return rest - adjoint(F, F.matmul(k, y)) + hk - F.matmul(F.matmul(hk, y), a)


def _pinv(A: Tensor, atol: Tolerance, rtol: Tolerance, hermitian: bool) -> Tensor:
    if A._array.dtype.name not in _WIDE or A._array.ndim < 2:
        raise RuntimeError(
            f"linalg.pinv({TYPE_NAMES[A.dtype]}{{{list(A.shape)}}}): expected a tensor with 2 or "
            "more dimensions of float, double, cfloat or cdouble types"
        )
    return Pinv.apply(A, atol=_raw(atol), rtol=_raw(rtol), hermitian=hermitian)


@public(function=False)
@accepts_out
def linalg_pinv(
    A: Tensor,
    rcond: Tolerance = None,
    hermitian: bool = False,
    *,
    atol: Tolerance = None,
    rtol: Tolerance = None,
) -> Tensor:
    """Pseudo-inverse (*, n, m) of (*, m, n).

    Singular values up to ``max(atol, rtol * largest)`` count as 0; `rcond` is the older `rtol`.
    """
    return _pinv(A, atol, rcond if rtol is None else rtol, hermitian)


@public(method=True)
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """Pseudo-inverse (*, n, m) of (*, m, n); see ``linalg.pinv``."""
    return _pinv(input, None, rcond, False)


@public(function=False)
@accepts_out
def linalg_matrix_rank(
    A: Tensor,
    tol: Tolerance = None,
    hermitian: bool = False,
    *,
    atol: Tolerance = None,
    rtol: Tolerance = None,
) -> Tensor:
    """Number (*), int64, of singular values of (*, m, n) above ``max(atol, rtol * largest)``.

    `tol` is the older `atol`, and then there is no relative tolerance.
    """
    require_matrix(A, "torch.linalg.matrix_rank", "input")
    if A._array.dtype.name not in _WIDE:
        raise RuntimeError("This function doesn't handle types other than float and double")
    xp, a = A.backend.xp, A._array
    if tol is not None:
        atol, rtol = tol, 0.0
    if not a.size:
        return Tensor._wrap(xp.zeros(a.shape[:-2], "int64"))
    values = xp.linalg.eigvalsh(a) if hermitian else xp.linalg.svd(a, compute_uv=False)
    kept = _significant(xp, a, xp.abs(values), _raw(atol), _raw(rtol))
    return Tensor._wrap(A.backend.asarray(kept.sum(-1)))


# ---- least squares -------------------------------------------------------------------------------


class Lstsq(Op):
    """x (..., n, k) of least length among those with least ``|a x - b|``; a's singular values."""

    torch_name = "LinalgLstsqBackward0"
    non_differentiable_outputs = (1, 2)

    def forward(ctx, a: Array, b: Array, rcond: float | None) -> tuple[Array, Array, Array]:
        ctx.save(0, 1)
        xp = ctx.xp
        rtol = xp.finfo(a.dtype).eps * max(a.shape[-2:]) if rcond is None else rcond
        ctx.rtol = rtol
        u, s, vh = xp.linalg.svd(a, full_matrices=False)
        kept = _significant(xp, a, s, 0.0, rtol)
        inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), 0).astype(s.dtype)
        v, uh = (xp.conj(xp.swapaxes(t, -2, -1)) for t in (vh, u))
        x = xp.matmul(v, inverse[..., None] * xp.matmul(uh, b))
        return x, s, ctx.backend.asarray(kept.sum(-1))

    def backward(ctx, g: Any, *_: Any) -> Any:
        a, b = ctx.saved
        F = ctx.F
        y = ctx.call(Pinv, a, atol=None, rtol=ctx.rtol, hermitian=False)
        ga = _pinv_backward(F, F.matmul(g, adjoint(F, b)), a, y) if ctx.needs_grad(0) else None
        return ga, F.matmul(adjoint(F, y), g)


def _check_lstsq(A: Tensor, B: Tensor, driver: str | None) -> bool:
    """Raise unless A and B fit; whether B is vectors."""
    name, a, b = "torch.linalg.lstsq", A._array.shape, B._array.shape
    if A._array.dtype.name not in _WIDE:
        raise RuntimeError("This function doesn't handle types other than float and double")
    if len(a) < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if not b:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but got input's dtype "
            f"{CPP_NAMES[A.dtype]} and other's dtype {CPP_NAMES[B.dtype]}"
        )
    vector = len(b) == 1 or (len(a) - 1 == len(b) and a[:-1] == b)
    if a[-2] != b[-1 if vector else -2]:
        size = "size(-1)" if vector else "size(-2)"
        raise RuntimeError(f"{name}: input.size(-2) should match other.{size}")
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    return vector


@public(function=False)
@accepts_out
def linalg_lstsq(
    A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None
) -> Any:
    """(solution, residuals, rank, singular_values) of the least-squares problem ``A X = B``.

    A is (*, m, n), B (*, m, k) or vectors (*, m). `driver` says, as in PyTorch, what is filled in:
    rank unless "gels", singular values with "gelsd" and "gelss", residuals unless "gelsy" (the
    default) if m > n and A has full rank.
    """
    vector = _check_lstsq(A, B, driver)
    driver = driver or "gelsy"
    b = B.unsqueeze(-1) if vector else B
    x, sizes, rank = Lstsq.apply(A, b, rcond=rcond)
    m, n = A._array.shape[-2:]
    full = bool((rank._array == n).all())
    residuals = A.new_empty(0, dtype=sizes.dtype)
    if m > n and driver != "gelsy" and full:
        residuals = ((A @ x - b).abs() ** 2).sum(-2)
    if driver == "gels":
        rank = A.new_empty(0, dtype=rank.dtype)
    if driver in ("gels", "gelsy"):
        sizes = A.new_empty(0, dtype=sizes.dtype)
    return LstsqResult((x.squeeze(-1) if vector else x, residuals, rank, sizes))
