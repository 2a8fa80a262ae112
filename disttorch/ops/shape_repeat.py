"""Copies in another order or number: flip, roll, rot90, repeat, tile, repeat_interleave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.ops.cast import clone
from disttorch.ops.index_dim import index_select
from disttorch.ops.shape import expand, flatten, ravel, transpose, unsqueeze
from disttorch.ops.shape_math import distinct_dims, sizes, strict_dim
from disttorch.tensor import Tensor

__all__ = ["flip", "fliplr", "flipud", "repeat", "repeat_interleave", "roll", "rot90", "tile"]

Array = Any


class Flip(Op):
    """x with the order along some dimensions reversed."""

    def forward(ctx, x: Array, dims: tuple[int, ...]) -> Array:
        ctx.dims = dims
        return ctx.xp.flip(x, dims).copy()

    def backward(ctx, g: Any) -> Any:
        return ctx.F.flip(g, ctx.dims)


@public(method=True)
def flip(input: Tensor, *args: Any, dims: Any = ()) -> Tensor:
    """Reverse the order of the elements along `dims`, ints or a tuple of them."""
    along = distinct_dims(input, sizes(args or (dims,)))
    return Flip.apply(input, dims=along[: input.ndim])


@public(method=True)
def fliplr(input: Tensor) -> Tensor:
    """Reverse the second dimension; RuntimeError below 2-D."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@public(method=True)
def flipud(input: Tensor) -> Tensor:
    """Reverse the first dimension; RuntimeError for a 0-d tensor."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


class Roll(Op):
    """x moved along dimensions, what leaves at the end coming back at the start."""

    def forward(ctx, x: Array, shifts: tuple[int, ...], dims: tuple[int, ...] | None) -> Array:
        ctx.shifts, ctx.dims = shifts, dims
        return ctx.xp.roll(x, shifts if dims else shifts[0], dims)

    def backward(ctx, g: Any) -> Any:
        return ctx.call(Roll, g, shifts=tuple([-s for s in ctx.shifts]), dims=ctx.dims)


@public(method=True)
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Move elements along `dims` (None: of the flattened tensor), round the end to the start.

    Raises RuntimeError if there is not one shift a dimension.
    """
    moves = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    along = () if dims is None else (dims,) if isinstance(dims, int) else tuple(dims)
    if not moves:
        raise RuntimeError("`shifts` required")
    if len(moves) != len(along) and not (not along and len(moves) == 1):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(along)}"
        )
    checked = tuple(strict_dim(input, d) for d in along)
    return Roll.apply(input, shifts=moves, dims=checked or None)


@public(method=True)
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Rotate by `k` quarter turns in the plane of two dimensions, from the first to the second."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    a, b = (input._dim(d) for d in dims)
    if a == b:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    turns = k % 4
    if turns == 2:
        return flip(input, a, b)
    if turns:
        return transpose(flip(input, b if turns == 1 else a), a, b).clone()
    return clone(input)


class Repeat(Op):
    """x repeated `times` along each dimension."""

    def forward(ctx, x: Array, times: tuple[int, ...]) -> Array:
        ctx.times = times
        ctx.shape = (1,) * (len(times) - x.ndim) + x.shape
        return ctx.xp.tile(x, times)

    def backward(ctx, g: Any) -> Any:
        # (r0 n0, r1 n1, ...) -> (r0, n0, r1, n1, ...), then the sum over the repetitions.
        split = [n for pair in zip(ctx.times, ctx.shape, strict=True) for n in pair]
        repeated = tuple(range(0, len(split), 2))
        return ctx.F.sum(ctx.F.reshape(g, split), repeated) if repeated else g


@public(method=True, function=False)
def repeat(input: Tensor, *args: Any, repeats: Any = ()) -> Tensor:
    """Repeat along each dimension, new ones in front; RuntimeError for fewer than there are."""
    times = sizes(args or (repeats,))
    if len(times) < input.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    if any(n < 0 for n in times):
        own = (1,) * (len(times) - input.ndim) + input._array.shape
        wanted = [n * m for n, m in zip(times, own, strict=True)]
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(wanted)}: {wanted}"
        )
    return Repeat.apply(input, times=times)


@public(method=True)
def tile(input: Tensor, *args: Any, dims: Any = ()) -> Tensor:
    """Repeat along the last dimensions, as `repeat` with ones in front."""
    times = sizes(args or (dims,))
    return Repeat.apply(input, times=(1,) * (input.ndim - len(times)) + times)


@public(method=True)
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Repeat each position of `dim` (None: of the flattened tensor) a number of times.

    `repeats` is an int or a tensor with one number a position. With one argument, a tensor of
    numbers of repeats, return the positions. Raises RuntimeError for numbers that do not fit.
    """
    if repeats is None:
        return _repeated_positions(input)
    if dim is None:
        input, dim = ravel(input), 0
    d = input._dim(dim)
    if isinstance(repeats, Tensor) and repeats.numel() == 1:
        repeats = repeats.item()
    if not isinstance(repeats, Tensor):
        if repeats < 0:
            raise RuntimeError("Repeats must be non-negative")
        shape = input._array.shape
        wide = expand(unsqueeze(input, d + 1), (*shape[: d + 1], repeats, *shape[d + 1 :]))
        merged = flatten(wide, d, d + 1)
        return clone(merged) if merged._view is not None else merged
    n = input.shape[d] if input.ndim else 1
    if repeats.numel() != n:
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{repeats.numel()} and input.size({d}) = {n}"
        )
    return index_select(input, d, _repeated_positions(repeats))


def _repeated_positions(repeats: Tensor) -> Tensor:
    """Position i as often as ``repeats[i]`` says, in order."""
    counts, xp = repeats._array, repeats.backend.xp
    if counts.dtype.kind not in "iu" or counts.ndim != 1:
        raise RuntimeError("repeats has to be Long or Int tensor")
    if counts.size and int(counts.min()) < 0:
        raise RuntimeError("repeats can not be negative")
    return Tensor._wrap(xp.repeat(xp.arange(counts.size), counts))
