"""Padding: constant, reflected, replicated, circular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.tensor import Tensor

__all__ = ["constant_pad_nd"]

Array = Any
Pads = tuple[tuple[int, int], ...]  # (before, after) each dimension; negative ones cut off


class Pad(Op):
    """x with `value` around it."""

    torch_name = "ConstantPadNdBackward0"

    def forward(ctx, x: Array, pads: Pads, value: float) -> Array:
        ctx.pads = pads
        shape = tuple(n + a + b for n, (a, b) in zip(x.shape, pads, strict=True))
        y = ctx.xp.full(shape, value, x.dtype)
        kept = tuple(slice(max(0, a), n - max(0, b)) for n, (a, b) in zip(shape, pads, strict=True))
        source = tuple(
            slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape, pads, strict=True)
        )
        y[kept] = x[source]
        return y

    def backward(ctx, g: Any) -> Any:
        return ctx.call(Pad, g, pads=tuple((-a, -b) for a, b in ctx.pads), value=0)


@public()
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """Pad the last ``len(pad) / 2`` dimensions, last first, with `value`; negative pads cut off.

    Raises RuntimeError for an odd number of pads, too many, or a negative resulting size.
    """
    pads = pairs(input, pad)
    ends = zip(input.shape, pads, strict=True)
    if any(n + min(a, b, a + b) < 0 for n, (a, b) in ends):
        raise RuntimeError("narrow(): length must be non-negative.")
    return Pad.apply(input, pads=pads, value=value)


def pairs(input: Tensor, pad: Sequence[int]) -> Pads:
    """Turn PyTorch's flat list, last dimension first, into (before, after) for each dimension."""
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) // 2 > input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pad)} and input of dimension {input.ndim}"
        )
    given = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    return ((0, 0),) * (input.ndim - len(given)) + tuple(reversed(given))


class IndexedPad(Op):
    """x with each dimension re-read at given positions: every mode that repeats elements."""

    torch_name = "ReflectionPad1DBackward0"

    def forward(ctx, x: Array, positions: dict[int, tuple[int, ...]]) -> Array:
        ctx.positions, ctx.shape = positions, x.shape
        for dim, index in positions.items():
            x = ctx.xp.take(x, ctx.backend.asarray(index, "int64"), axis=dim)
        return x

    def backward(ctx, g: Any) -> Any:
        lengths = {dim: ctx.shape[dim] for dim in ctx.positions}
        return ctx.call(IndexedPadGrad, g, positions=ctx.positions, lengths=lengths)


class IndexedPadGrad(Op):
    """The adjoint of `IndexedPad`: gy summed where positions repeat."""

    def forward(
        ctx, gy: Array, positions: dict[int, tuple[int, ...]], lengths: dict[int, int]
    ) -> Array:
        ctx.positions = positions
        for dim, index in reversed(positions.items()):
            moved = ctx.xp.moveaxis(gy, dim, 0)
            total = ctx.xp.zeros((lengths[dim], *moved.shape[1:]), gy.dtype)
            for row, position in enumerate(index):
                total[position] += moved[row]
            gy = ctx.xp.moveaxis(total, 0, dim)
        return gy

    def backward(ctx, g: Any) -> Any:
        return ctx.call(IndexedPad, g, positions=ctx.positions)


def indexed_pad(input: Tensor, pads: Pads, mode: str) -> Tensor:
    """Pad by repeating elements; `mode` is "reflect", "replicate" or "circular".

    Raises RuntimeError for pads larger than the mode can fill.
    """
    positions = {}
    for dim, (a, b) in reversed(list(enumerate(pads))):
        if a or b:
            n = input.shape[dim]
            _check_reach(input, dim, a, b, mode)
            if mode == "circular":
                positions[dim] = _wrapped(n, a, b)
            else:
                positions[dim] = tuple(_SOURCES[mode](i, n) for i in range(-a, n + b))
    return IndexedPad.apply(input, positions=positions) if positions else input.clone()


def _reflected(i: int, n: int) -> int:
    return -i if i < 0 else i if i < n else 2 * (n - 1) - i


def _wrapped(n: int, a: int, b: int) -> tuple[int, ...]:
    """Positions of a circular pad; negative pads cut first, and what is left goes round."""
    kept = range(max(0, -a), n - max(0, -b))
    return tuple(kept[i % len(kept)] for i in range(-max(0, a), len(kept) + max(0, b)))


_SOURCES = {
    "reflect": _reflected,
    "replicate": lambda i, n: min(max(i, 0), n - 1),
}


def _check_reach(input: Tensor, dim: int, a: int, b: int, mode: str) -> None:
    n = input.shape[dim]
    if mode == "reflect" and max(a, b) >= n:
        position = 4 + 2 * (input.ndim - 1 - dim)
        raise RuntimeError(
            f"Argument #{position}: Padding size should be less than the corresponding input "
            f"dimension, but got: padding ({a}, {b}) at dimension {dim} of input "
            f"{list(input.shape)}"
        )
    if mode == "circular" and max(a, b) > n:
        raise RuntimeError("Padding value causes wrapping around more than once.")
