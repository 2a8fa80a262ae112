"""Products of matrices and vectors: matmul and its named forms, linear."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import quick, quick_or
from disttorch.backends import Backend
from disttorch.backends.precision import is_short, wide
from disttorch.dtype import CPP_NAMES, TYPE_NAMES, float32, promote_types
from disttorch.ops.arguments import wrong_argument
from disttorch.ops.cast import cast
from disttorch.ops.cast_complex import conj
from disttorch.ops.out import accepts_out, write_out
from disttorch.ops.shape import expand, unsqueeze
from disttorch.ops.shape_math import broadcast_shapes_checked
from disttorch.tensor import Tensor

__all__ = [
    *("addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "dot", "ger", "inner", "linear"),
    *("__matmul__", "__rmatmul__", "matmul", "mm", "mv", "outer", "vdot"),
]

Array = Any


class Product(Op):
    """x @ y as NumPy defines it: vectors, matrices and broadcast batches of matrices."""

    saved_for = ((1,), (0,))

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the product."""
        return backend.product

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0, 1)
        ctx.see_ranks(x.ndim, y.ndim)
        return ctx.backend.product(x, y)

    def see_ranks(ctx, *ranks: int) -> None:
        """Note the operands' numbers of dimensions; PyTorch has a node for each pair of them."""
        ctx.ranks = ranks
        ctx.__class__ = _BY_RANKS.get(ranks, Bmm)

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        F = ctx.F
        row, column = ctx.ranks[0] == 1, ctx.ranks[1] == 1
        if row and column:
            gx = g * F.conj(y) if ctx.needs_grad(0) else None
            return gx, g * F.conj(x) if ctx.needs_grad(1) else None
        g = F.unsqueeze(g, -2) if row else F.unsqueeze(g, -1) if column else g
        gx = gy = None
        if ctx.needs_grad(0):
            y = F.unsqueeze(y, -1) if column else y
            gx = ctx.call(MatMul, g, F.conj(F.transpose(y, -2, -1)))
        if ctx.needs_grad(1):
            x = F.unsqueeze(x, 0) if row else x
            if x.ndim > 2 and ctx.ranks[1] <= 2:
                rows = math.prod(x.shape[:-1])
                x, g = F.reshape(x, (rows, x.shape[-1])), F.reshape(g, (rows, g.shape[-1]))
            gy = _product_for(ctx, 1, F.conj(F.transpose(x, -2, -1)), g)
            gy = F.squeeze(gy, -1) if column else gy
        return gx, gy


@quick(2, "fcViu", keeps="input, ranks")
class MatMul(Product):
    """The product of operands of any ranks; what it records is of one of the classes below."""


class Dot(Product):
    """Of two vectors."""


class Mv(Product):
    """Of a matrix and a vector."""


class Mm(Product):
    """Of two matrices."""


class Bmm(Product):
    """Of batches of matrices."""


_BY_RANKS = {(1, 1): Dot, (2, 1): Mv, (2, 2): Mm}


def _product_for(ctx: Op, i: int, a: Any, b: Any) -> Any:
    """``a @ b``, the gradient of input `i`; made where that is wanted."""
    place = ctx.landing(i) if a.ndim == b.ndim == 2 else None
    if place is None or place.shape != (a.shape[0], b.shape[1]) or a.dtype != place.dtype:
        return ctx.call(MatMul, a, b)
    return ctx.backend.matmul(a, b, out=place)


def _check_dtypes(a: Tensor, b: Tensor) -> None:
    if a._array.dtype != b._array.dtype:
        first, second = (CPP_NAMES[t.dtype] for t in (a, b))
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {first} != {second}"
        )
    if a._array.dtype.kind == "b":
        kernel = "bmm" if a.ndim > 2 and b.ndim > 2 else "addmm_impl_cpu_"
        raise NotImplementedError(f"\"{kernel}\" not implemented for 'Bool'")


def _check_inner(a: Tensor, b: Tensor) -> None:
    """Raise PyTorch's error, which depends on the ranks, if lengths do not match."""
    x, y = a._array.shape, b._array.shape
    if len(x) > 2 and len(y) > 2:
        batch = x[:-2] if x[:-2] == y[:-2] else broadcast_shapes_checked(x[:-2], y[:-2])
        if x[-1] != y[-2]:
            n = math.prod(batch)
            raise RuntimeError(
                "Expected size for first two dimensions of batch2 tensor to be: "
                f"[{n}, {x[-1]}] but got: [{n}, {y[-2]}]."
            )
    elif x[-1] != y[max(len(y) - 2, 0)]:
        recorded = a.requires_grad or b.requires_grad
        raise RuntimeError(_unequal_lengths(x, y, fold=recorded))


def _unequal_lengths(x: tuple[int, ...], y: tuple[int, ...], fold: bool) -> str:
    """PyTorch's text for operands of which at most one is a batch.

    PyTorch sees a batch on the left as one matrix, and one on the right too if it records (`fold`).
    """
    if len(x) == len(y) == 1:
        return (
            f"inconsistent tensor size, expected tensor [{x[0]}] and src [{y[0]}] to have the same "
            f"number of elements, but got {x[0]} and {y[0]} elements respectively"
        )
    if len(y) > 2 and not fold:
        n = math.prod(y[:-2])
        return (
            f"Expected size for first two dimensions of batch2 tensor to be: [{n}, {x[-1]}] but "
            f"got: [{n}, {y[-2]}]."
        )
    if len(y) > 2:  # (x @ y) is computed as the transpose of (y^T @ x^T)
        x, y = (*y[:-2], y[-1], y[-2]), x[::-1]
    rows = math.prod(x[:-1])
    if len(y) == 1:
        return f"size mismatch, got input ({rows}), mat ({rows}x{x[-1]}), vec ({y[0]})"
    left = f"{rows}x{x[-1]}"
    return f"mat1 and mat2 shapes cannot be multiplied ({left} and {y[0]}x{y[1]})"


def _checked_product(input: Tensor, other: Tensor) -> Tensor:
    x, y = input._array, other._array
    if x.dtype is y.dtype and 0 < x.ndim <= 2 and x.shape[-1:] == y.shape[:1] and y.ndim <= 2:
        if x.dtype.kind != "b":  # the usual case, quickly
            return MatMul.apply(input, other)
    if not (input.ndim and other.ndim):
        raise RuntimeError(
            "both arguments to matmul need to be at least 1D, but they are "
            f"{input.ndim}D and {other.ndim}D"
        )
    _check_inner(input, other)
    _check_dtypes(input, other)
    return MatMul.apply(input, other)


# What the array library refuses, or would not refuse, is looked at by the function it falls to.
_quick_product = quick_or(MatMul, _checked_product)


@public(method=True)
@partial(accepts_out, casts=False)
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Product of vectors, matrices (n, k) @ (k, m), or broadcast batches of them.

    Raises RuntimeError for lengths or dtypes that do not match and for 0-d tensors.
    """
    return _quick_product(input, other)


@public(method=True, function=False)
def __matmul__(input: Tensor, other: Any) -> Any:
    """``input @ other``."""
    return _checked_product(input, other) if isinstance(other, Tensor) else NotImplemented


@public(method=True, function=False)
def __rmatmul__(input: Tensor, other: Any) -> Any:
    """``other @ input``."""
    return _checked_product(other, input) if isinstance(other, Tensor) else NotImplemented


def _ranked(name: str, ranks: tuple[int, int], refusal: Callable[[Tensor, Tensor], str]) -> Any:
    """`matmul` for operands of given ranks only."""

    def product(input: Tensor, other: Tensor) -> Tensor:
        if (input._array.ndim, other._array.ndim) != ranks:
            raise RuntimeError(refusal(input, other))
        if ranks == (3, 3):
            _check_batches(input, other)
        return _checked_product(input, other)

    product.__name__ = product.__qualname__ = name
    shapes = {1: "a vector", 2: "a matrix", 3: "a batch of matrices"}
    product.__doc__ = (
        f"Product of {shapes[ranks[0]]} and {shapes[ranks[1]]}; RuntimeError for other ranks."
    )
    return public(method=True)(accepts_out(product, casts=False))


def _check_batches(a: Tensor, b: Tensor) -> None:
    x, y = a._array.shape, b._array.shape
    if (x[0], x[2]) != y[:2]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{x[0]}, {x[2]}] but "
            f"got: [{y[0]}, {y[1]}]."
        )


mm = _ranked("mm", (2, 2), lambda a, b: f"{'self' if a.ndim != 2 else 'mat2'} must be a matrix")
bmm = _ranked("bmm", (3, 3), lambda a, b: f"batch{1 if a.ndim != 3 else 2} must be a 3D tensor")
mv = _ranked(
    "mv", (2, 1), lambda a, b: f"vector + matrix @ vector expected, got 1, {a.ndim}, {b.ndim}"
)


@public(method=True)
@partial(accepts_out, casts="result dtype {out} does not match input dtype {result}")
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Sum of products of two vectors; RuntimeError for other ranks, lengths or dtypes."""
    x, y = input._array, tensor._array
    if x.ndim == y.ndim == 1 and x.dtype is y.dtype:  # the usual case, quickly
        return _quick_product(input, tensor)
    if x.ndim == y.ndim == 1 and x.dtype != y.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {TYPE_NAMES[input.dtype]} "
            f"and {TYPE_NAMES[tensor.dtype]}"
        )
    if not x.ndim == y.ndim == 1:
        raise RuntimeError(f"1D tensors expected, but got {x.ndim}D and {y.ndim}D tensors")
    return _checked_product(input, tensor)


@public(method=True)
@accepts_out
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """Sum of products of the conjugate of one vector with another."""
    return dot(conj(input), other)


@public(method=True)
@accepts_out
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sum of products over the last dimensions: (*a, k) and (*b, k) -> (*a, *b)."""
    if not (input.ndim and other.ndim):
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    rows = other.reshape(-1, other.shape[-1])
    product = matmul(input, rows.t())
    return product.reshape((*input.shape[:-1], *other.shape[:-1]))


def _outer(name: str) -> Callable[..., Tensor]:
    def product(input: Tensor, vec2: Tensor) -> Tensor:
        for argument, t in (("self", input), ("vec2", vec2)):
            if t.ndim != 1:
                raise RuntimeError(f"outer: Expected 1-D argument {argument}, but got {t.ndim}-D")
        return unsqueeze(input, 1) * vec2

    product.__name__ = product.__qualname__ = name
    product.__doc__ = "Products of all pairs of elements of two vectors: (n,) and (m,) -> (n, m)."
    return public(method=True)(accepts_out(product))


outer, ger = _outer("outer"), _outer("ger")


# ---- product plus tensor -------------------------------------------------------------------------


def _added(
    name: str, multiply: Callable[[Tensor, Tensor], Tensor], doc: str
) -> Callable[..., Tensor]:
    def add(
        input: Tensor, first: Tensor, second: Tensor, *, beta: float = 1, alpha: float = 1
    ) -> Tensor:
        kind = first.dtype
        if is_short(first._array) and kind is input.dtype and kind is second.dtype:
            operands = (cast(t, float32) for t in (input, first, second))
            return cast(add(*operands, beta=beta, alpha=alpha), kind)  # rounded once
        product = multiply(first, second)
        # Refuses a tensor that only the product would have to be broadcast to.
        added = expand(input, product.shape)
        if product._array.dtype.kind in "iub":
            return _added_integers(name, added, product, beta, alpha)
        if alpha != 1:
            product = product * alpha
        if beta == 0:
            return product
        return (added if beta == 1 else added * beta) + product

    add.__name__ = add.__qualname__ = name
    add.__doc__ = f"``beta * input + alpha * {doc}``; `input` is broadcast."
    return public(method=True, inplace=True)(accepts_out(add, casts=name == "addr"))


def _added_integers(name: str, added: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """Factors of integers are cut to integers, but refused by `addr`."""
    kind = promote_types(added.dtype, product.dtype)
    if name == "addr" and not kind.is_floating_point:
        for argument, factor in (("beta", beta), ("alpha", alpha)):
            if isinstance(factor, float):
                raise RuntimeError(
                    f"For integral input tensors, argument {argument} must not be a floating "
                    "point number."
                )
    elif not kind.is_floating_point:
        beta, alpha = int(beta), int(alpha)
    return cast(added * beta + product * alpha, kind)


addmm = _added("addmm", mm, "mat1 @ mat2")
addmv = _added("addmv", mv, "mat @ vec")
addr = _added("addr", outer, "outer(vec1, vec2)")
baddbmm = _added("baddbmm", bmm, "batch1 @ batch2")
addbmm = _added("addbmm", lambda a, b: bmm(a, b).sum(0, dtype=a.dtype), "sum(batch1 @ batch2)")


# ---- linear --------------------------------------------------------------------------------------


@quick(None, "fc", keeps="two, shapes", settings=True)
class Linear(Op):
    """x (*, n) @ weight (m, n) transposed + bias (m) if there is one, as one node."""

    torch_name = "AddmmBackward0"
    saved_for = ((1,), (0,))

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the affine map."""
        return partial(_affine, backend)

    def forward(ctx, x: Array, weight: Array, bias: Array | None = None) -> Array:
        ctx.save(0, 1)
        ctx.shapes = [x.shape]
        return _affine(ctx.backend, x, weight, bias)

    def backward(ctx, g: Any) -> Any:
        x, weight = ctx.saved
        F, shape = ctx.F, ctx.shapes[0]
        rows = math.prod(shape[:-1])
        if len(shape) != 2:
            g = F.reshape(g, (rows, g.shape[-1]))
        gx = gw = gb = None
        if ctx.needs_grad(0):
            gx = ctx.call(MatMul, g, F.conj(weight))
            gx = gx if len(shape) == 2 else F.reshape(gx, shape)
        if ctx.needs_grad(1):
            x = x if len(shape) == 2 else F.reshape(x, (rows, shape[-1]))
            gw = _product_for(ctx, 1, F.transpose(g, 0, 1), F.conj(x))
        if len(ctx.edges) > 2 and ctx.needs_grad(2):
            gb = F.sum(g, (0,))
        return gx, gw, gb


def _affine(backend: Backend, x: Array, weight: Array, bias: Array | None = None) -> Array:
    rows = x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    if bias is not None and is_short(x):  # rounded once, after the bias
        out = backend.matmul(wide(rows), wide(weight.T)) + wide(bias)
        out = out.astype(x.dtype)
    else:
        out = backend.matmul(rows, weight.T)
        if bias is not None:
            out += bias
    return out if x.ndim == 2 else out.reshape(*x.shape[:-1], weight.shape[0])


@public(function=False)
def linear(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None
) -> Tensor:
    """Affine map: input (*, n), weight (m, n), bias (m) or None -> (*, m).

    Raises RuntimeError for lengths or dtypes that do not match.
    """
    if out is not None:
        return write_out(out, linear(input, weight, bias), "linear")
    try:
        plain = _is_plain_linear(input._array, weight._array, bias)
    except AttributeError:
        message = wrong_argument(linear, (input, weight), {})
        if message is None:
            raise
        raise TypeError(message) from None
    if not plain:
        _check_linear(input, weight, bias)
        if weight.ndim != 2 or not input.ndim:
            product = matmul(input, weight.t() if weight.ndim == 2 else weight)
            return product if bias is None else product + bias
    given = (input, weight) if bias is None else (input, weight, bias)
    return Linear.apply(*given)


def _is_plain_linear(x: Array, weight: Array, bias: Tensor | None) -> bool:
    """Whether these are matrices and a vector that fit: the usual case, quickly."""
    if not x.ndim == weight.ndim == 2 or x.shape[1] != weight.shape[1]:
        return False
    if x.dtype is not weight.dtype or x.dtype.kind == "b":
        return False
    if bias is None:
        return True
    b = bias._array
    return b.dtype is x.dtype and b.shape == weight.shape[:1]


def _check_linear(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raise RuntimeError for lengths or dtypes that do not match; a product checks its own."""
    if weight.ndim != 2 or not input.ndim:
        return
    shape, (m, n) = input._array.shape, weight._array.shape
    rows = math.prod(shape[:-1])
    if shape[-1] != n:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{shape[-1]} and {n}x{m})"
        )
    if bias is not None and input.dtype != weight.dtype:
        names = " and ".join(TYPE_NAMES[t.dtype] for t in (input, weight))
        raise RuntimeError(f"mat1 and mat2 must have the same dtype, but got {names}")
    _check_dtypes(input, weight)
    if bias is not None:
        if bias._array.shape not in ((m,), (1,), ()):
            raise RuntimeError(
                f"The expanded size of the tensor ({m}) must match the existing size "
                f"({bias.shape[-1]}) at non-singleton dimension 1.  Target sizes: [{rows}, {m}].  "
                f"Tensor sizes: {list(bias.shape)}"
            )
        _check_dtypes(input, bias)
