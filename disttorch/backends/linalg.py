"""Factorisations and solutions of stacks of matrices; mixed into `Backend`.

Matrices are (..., rows, columns) of one floating or complex dtype. What NumPy's and CuPy's `linalg`
have is taken from there; LU and triangular solution, which they lack, are blocked algorithms over
whole stacks. A method never raises for a matrix without a result: `info`, int32 of the stack's
shape, says which element of which matrix stopped it, counted from 1 as LAPACK does; 0 is success.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy import linalg as host

from disttorch.backends import ldl

Array = Any

_BLOCK = 48  # columns that are worked off one by one before a matrix product takes over


class LinearAlgebra:
    """Inverse, solution, LU, Cholesky and general eigenvalues, with `info`."""

    xp: Any
    asarray: Callable[..., Array]
    to_host: Callable[[Array], Any]

    # ---- triangular systems -----------------------------------------------------------------

    def solve_triangular(self, a: Array, b: Array, upper: bool, unitriangular: bool) -> Array:
        """Return x with ``a x = b`` for triangular a (..., n, n), b (..., n, k).

        The other triangle is not read. A zero on the diagonal gives infinities.
        """
        xp, n = self.xp, a.shape[-1]
        batch = _broadcast(a.shape[:-2], b.shape[:-2])
        a = xp.broadcast_to(a, (*batch, n, n))
        b = xp.broadcast_to(b, (*batch, *b.shape[-2:]))
        x = xp.empty(b.shape, b.dtype)
        starts = range(0, n, _BLOCK)
        for start in reversed(starts) if upper else starts:
            stop = min(start + _BLOCK, n)
            known = slice(stop, n) if upper else slice(0, start)
            rest = b[..., start:stop, :]
            if known.start < known.stop:
                rest = rest - xp.matmul(a[..., start:stop, known], x[..., known, :])
            block = a[..., start:stop, start:stop]
            x[..., start:stop, :] = self._solve_block(block, rest, upper, unitriangular)
        return x

    def _solve_block(self, a: Array, b: Array, upper: bool, unitriangular: bool) -> Array:
        """Solve a small triangular system."""
        xp, n = self.xp, a.shape[-1]
        if unitriangular:
            a = (xp.triu(a, 1) if upper else xp.tril(a, -1)) + xp.eye(n, dtype=a.dtype)
        else:
            a = xp.triu(a) if upper else xp.tril(a)
        if not b.size:
            return b
        try:
            return xp.linalg.solve(a, b)
        except host.LinAlgError:
            x = xp.array(b)
        for i in reversed(range(n)) if upper else range(n):
            known = slice(i + 1, n) if upper else slice(0, i)
            product = xp.matmul(a[..., i : i + 1, known], x[..., known, :])[..., 0, :]
            x[..., i, :] = (x[..., i, :] - product) / a[..., i, i, None]
        return x

    # ---- LU ---------------------------------------------------------------------------------

    def lu_factor(self, a: Array) -> tuple[Array, Array, Array]:
        """Factorise (..., m, n) with row exchanges: packed L and U, pivots, info.

        Row i was exchanged with row ``pivots[i]`` (int32, counted from 1) in step i.
        """
        xp = self.xp
        m, n = a.shape[-2:]
        flat = xp.array(a).reshape((-1, m, n)) if a.size else xp.zeros((0, m, n), a.dtype)
        batch, k = a.shape[:-2], min(m, n)
        pivots = xp.zeros((flat.shape[0], k), "int32")
        for start in range(0, k, _BLOCK):
            stop = min(start + _BLOCK, k)
            self._lu_panel(flat, pivots, start, stop)
            if stop < n:
                top = flat[:, start:stop, stop:]
                corner = flat[:, start:stop, start:stop]
                top = self.solve_triangular(corner, top, upper=False, unitriangular=True)
                flat[:, start:stop, stop:] = top
                flat[:, stop:, stop:] -= xp.matmul(flat[:, stop:, start:stop], top)
        if not a.size:
            steps = xp.broadcast_to(xp.arange(1, k + 1, dtype="int32"), (*batch, k))
            return a.copy(), steps.copy(), xp.zeros(batch, "int32")
        info = self._first_zero(xp.diagonal(flat, 0, 1, 2))
        return flat.reshape(a.shape), pivots.reshape((*batch, k)), info.reshape(batch)

    def _lu_panel(self, a: Array, pivots: Array, start: int, stop: int) -> None:
        """Eliminate columns [start, stop) of (stack, m, n) in place, exchanging whole rows."""
        xp = self.xp
        stack = xp.arange(a.shape[0])
        for i in range(start, stop):
            row = xp.argmax(_magnitude(xp, a[:, i:, i]), axis=1) + i
            pivots[:, i] = row + 1
            chosen = a[stack, row]
            a[stack, row] = a[:, i]
            a[:, i] = chosen
            pivot = a[:, i, i]
            divisor = xp.where(pivot == 0, xp.ones_like(pivot), pivot)
            a[:, i + 1 :, i] /= divisor[:, None]
            a[:, i + 1 :, i + 1 : stop] -= a[:, i + 1 :, i, None] * a[:, i, None, i + 1 : stop]

    def _first_zero(self, diagonal: Array) -> Array:
        """Position, from 1, of the first zero of each row; 0 where there is none."""
        xp = self.xp
        zero = diagonal == 0
        if not diagonal.shape[-1]:
            return xp.zeros(diagonal.shape[:-1], "int32")
        return xp.where(zero.any(-1), xp.argmax(zero, axis=-1) + 1, 0).astype("int32")

    def pivot_permutation(self, pivots: Array, n_rows: int) -> Array:
        """Turn the exchanges (..., k) into the order (..., n_rows) in which rows end up, int64."""
        xp = self.xp
        flat = pivots.reshape((-1, pivots.shape[-1])) if pivots.size else pivots.reshape((0, 0))
        order = xp.zeros((flat.shape[0], n_rows), "int64") + xp.arange(n_rows)
        stack = xp.arange(flat.shape[0])
        for i in range(flat.shape[-1]):
            row = flat[:, i] - 1
            chosen = order[stack, row]
            order[stack, row] = order[:, i]
            order[:, i] = chosen
        if not pivots.size:
            return xp.zeros((*pivots.shape[:-1], n_rows), "int64") + xp.arange(n_rows)
        return order.reshape((*pivots.shape[:-1], n_rows))

    # ---- with the library's routines --------------------------------------------------------

    def inverse(self, a: Array) -> tuple[Array, Array]:
        """Return the inverse of (..., n, n) and info; singular matrices give infinities."""
        return self._checked(a, (a,), self.xp.linalg.inv, a.shape)

    def solve(self, a: Array, b: Array) -> tuple[Array, Array]:
        """Return x with ``a x = b``, a (..., n, n), b (..., n, k), and info."""
        batch = _broadcast(a.shape[:-2], b.shape[:-2])
        shape = (*batch, *b.shape[-2:])
        if not (a.size and b.size):
            return self.xp.zeros(shape, b.dtype), self.xp.zeros(a.shape[:-2], "int32")
        wide = self.xp.broadcast_to(a, (*batch, *a.shape[-2:]))
        x, info = self._checked(
            wide, (wide, self.xp.broadcast_to(b, shape)), self.xp.linalg.solve, shape
        )
        if wide.shape != a.shape:  # info is that of the matrices given
            info = self._singular(a) if info.any() else self.xp.zeros(a.shape[:-2], "int32")
        return x, info

    def _checked(
        self, a: Array, operands: tuple[Array, ...], routine: Any, shape: tuple[int, ...]
    ) -> tuple[Array, Array]:
        """Apply a routine to a stack; where it refuses, to each matrix that is not singular."""
        xp = self.xp
        try:
            result = routine(*operands)
            # A library that does not raise fills the result with NaN.
            if not xp.isnan(result).any() or xp.isnan(operands[-1]).any():
                return result, xp.zeros(a.shape[:-2], "int32")
        except host.LinAlgError:
            pass
        info = self._singular(a)
        result = xp.full(shape, xp.nan, a.dtype)
        good = info == 0
        if good.ndim and bool(good.any()):
            result[good] = routine(*(x[good] for x in operands))
        return result, info

    def _singular(self, a: Array) -> Array:
        return self.lu_factor(a)[2]

    def cholesky(self, a: Array) -> tuple[Array, Array]:
        """Return the lower factor of (..., n, n), of which the lower triangle is read, and info."""
        xp = self.xp
        if not a.size:
            return xp.zeros(a.shape, a.dtype), xp.zeros(a.shape[:-2], "int32")
        try:
            factor = xp.linalg.cholesky(a)
            if not xp.isnan(factor).any():
                return factor, xp.zeros(a.shape[:-2], "int32")
        except host.LinAlgError:
            pass
        return self._cholesky_by_columns(a)

    def _cholesky_by_columns(self, a: Array) -> tuple[Array, Array]:
        """Factorise column by column, to see where each matrix stops being positive."""
        xp, n = self.xp, a.shape[-1]
        factor = xp.tril(a)
        info = xp.zeros(a.shape[:-2], "int32")
        for i in range(n):
            pivot = factor[..., i, i].real
            info = xp.where((info == 0) & ~(pivot > 0), i + 1, info).astype("int32")
            good = (info == 0)[..., None]
            column = factor[..., i:, i] / xp.sqrt(xp.where(pivot > 0, pivot, 1))[..., None]
            factor[..., i:, i] = xp.where(good, column, factor[..., i:, i])
            below = factor[..., i + 1 :, i] * good
            update = below[..., :, None] * xp.conj(below)[..., None, :]
            factor[..., i + 1 :, i + 1 :] -= xp.tril(update)
        return factor, info

    # ---- on the host: no device library has these --------------------------------------------

    def ldl_factor(self, a: Array, hermitian: bool) -> tuple[Array, Array, Array]:
        """Factorise symmetric (..., n, n), reading the lower triangle: packed, pivots, info."""
        packed, pivots, info = ldl.ldl_factor(self.to_host(a), hermitian)
        return self.asarray(packed), self.asarray(pivots), self.asarray(info)

    def ldl_solve(self, packed: Array, pivots: Array, b: Array, hermitian: bool) -> Array:
        """Return x with ``a x = b``, given a's factorisation; the stacks are equal."""
        operands = (self.to_host(t) for t in (packed, pivots, b))
        return self.asarray(ldl.ldl_solve(*operands, hermitian))

    def eig(self, a: Array) -> tuple[Array, Array]:
        """Return complex eigenvalues (..., n) and eigenvectors (..., n, n) of any matrices."""
        values, vectors = host.eig(self.to_host(a))
        kind = "complex64" if a.real.dtype.itemsize == 4 else "complex128"
        return self.asarray(values.astype(kind)), self.asarray(vectors.astype(kind))

    def eigvals(self, a: Array) -> Array:
        """Return the complex eigenvalues (..., n) of any matrices."""
        kind = "complex64" if a.real.dtype.itemsize == 4 else "complex128"
        return self.asarray(host.eigvals(self.to_host(a)).astype(kind))


def _magnitude(xp: Any, x: Array) -> Array:
    """What LAPACK chooses a pivot by: |x|, or |real| + |imag|."""
    return xp.abs(x) if x.dtype.kind != "c" else xp.abs(x.real) + xp.abs(x.imag)


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Common shape of two stacks that are known to fit."""
    n = max(len(a), len(b))
    pairs = zip((1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b, strict=True)
    return tuple(y if x == 1 else x for x, y in pairs)
