"""Tensors that count: arange, linspace, logspace, index lists of triangles, grids."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.backends import backend_for
from disttorch.device import chosen_device
from disttorch.dtype import as_dtype, get_default_dtype, int64
from disttorch.dtype import dtype as Dtype
from disttorch.ops.arguments import no_such_form
from disttorch.ops.create_fill import finish
from disttorch.ops.index import getitem
from disttorch.ops.join import stack
from disttorch.ops.out import accepts_out
from disttorch.ops.shape import expand, reshape
from disttorch.tensor import Tensor

__all__ = [
    *("arange", "cartesian_prod", "combinations", "linspace", "logspace", "meshgrid", "range"),
    *("tril", "tril_indices", "triu", "triu_indices"),
]

Array = Any


def _number(value: Any) -> Any:
    """A Python number, also for a 0-d tensor and a NumPy scalar."""
    return value.item() if hasattr(value, "item") else value


def _count(start: Any, end: Any, step: Any, inclusive: bool = False) -> int:
    """Number of steps from `start` to `end`; RuntimeError if `step` is 0 or leads away."""
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end < start) if step > 0 else (end > start):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if inclusive:
        return math.floor((end - start) / step) + 1
    if isinstance(start, int) and isinstance(end, int) and isinstance(step, int):
        return -((start - end) // step)
    return math.ceil((end - start) / step)


def _steps(n: int, start: Any, step: Any, dtype: Dtype, device: Any) -> Array:
    """``start + i * step`` for i < n, computed exactly or in float64."""
    xp = backend_for(chosen_device(device)).xp
    whole = isinstance(start, int) and isinstance(step, int)
    counted = xp.arange(n, dtype="int64" if whole else "float64")
    if step != 1:
        counted *= step
    if start != 0:
        counted += start
    return counted.astype(dtype.np, copy=False)


@public()
def arange(
    *args: Any,
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    out: Tensor | None = None,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Numbers from `start` up to, without, `end`; int64 if all arguments are ints, else floating.

    Raises RuntimeError if `step` is 0 or leads away from `end`.
    """
    if len(args) == 1 and end is None:
        end = args[0]
    elif args:
        values = [start, end, step]
        values[: len(args)] = args
        start, end, step = values
    if end is None:
        raise TypeError('arange() missing 1 required positional arguments: "end"')
    start, end, step = _number(start), _number(end), _number(step)
    dtype = as_dtype(dtype)
    integral = isinstance(start, int) and isinstance(end, int) and isinstance(step, int)
    if dtype is None:
        dtype = out.dtype if out is not None else int64 if integral else get_default_dtype()
    n = _count(start, end, step)
    if dtype.is_integral and not integral:
        # PyTorch counts in the dtype, but for the short ones finds the length in double precision.
        start, end, step = int(start), int(end), int(step)
        if not step:
            raise ValueError("step must be nonzero")
        n = _count(start, end, step) if dtype is int64 else n
    array = _steps(n, start, step, dtype, device)
    return finish(array, "arange", out, requires_grad)


@public()
def range(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from `start` to `end`, both included; deprecated in favour of `arange`."""
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is "
        "inconsistent with Python's range builtin. Instead, use torch.arange, which produces "
        "values in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    start, end = (0, start) if end is None else (start, end)
    n = _count(start, end, step, inclusive=True)
    array = _steps(n, start, step, as_dtype(dtype) or get_default_dtype(), device)
    return finish(array, "range", None, requires_grad)


_ENDS = (("Tensor", "Tensor"), ("Number", "Tensor"), ("Tensor", "Number"), ("Number", "Number"))
_SETTINGS = (
    "*, Tensor out = None, torch.dtype dtype = None, torch.layout layout = None, torch.device "
    "device = None, bool pin_memory = False, bool requires_grad = False"
)


def _between(name: str, start: Any, end: Any, steps: int, dtype: Dtype, device: Any) -> Array:
    """`steps` numbers from `start` to `end`, both included, in float64 or complex128.

    For an integral `dtype` both ends are cut to integers first, as PyTorch does.
    """
    if isinstance(start, Tensor) or isinstance(end, Tensor):
        _refuse_wide(name, start=start, end=end)
    if not hasattr(steps, "__index__"):
        base = "float base = 10.0, " if name == "logspace" else ""
        forms = (f" * ({a} start, {b} end, int steps, {base}{_SETTINGS})" for a, b in _ENDS)
        raise TypeError(no_such_form(name, (start, end, steps), forms))
    first, last = _number(start), _number(end)
    if dtype.is_integral:
        first, last = int(first), int(last)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    xp = backend_for(chosen_device(device)).xp
    if steps < 2 or first == last or type(first) is complex or type(last) is complex:
        return xp.linspace(first, last, steps)
    array = xp.arange(steps, dtype="float64")  # as `linspace` does it, without its layers
    array *= (last - first) / (steps - 1)
    if first:
        array += first
    array[-1] = last
    return array


def _refuse_wide(name: str, **ends: Any) -> None:
    wide = [
        f"{which} with {value.ndim} dimension(s)"
        for which, value in ends.items()
        if isinstance(value, Tensor) and value.ndim
    ]
    if wide:
        raise RuntimeError(
            f"{name} only supports 0-dimensional start and end tensors, but got "
            f"{' and '.join(wide)}."
        )


def _spaced_dtype(dtype: Dtype | None, out: Tensor | None, *ends: Any) -> Dtype:
    if dtype is not None or out is not None:
        return as_dtype(dtype) or out.dtype  # type: ignore[union-attr]
    default = get_default_dtype()
    return default.to_complex() if any(isinstance(v, complex) for v in ends) else default


@public()
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Tensor | None = None,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` evenly spaced numbers from `start` to `end`, both included."""
    kind = _spaced_dtype(dtype, out, start, end)
    array = _between("linspace", start, end, steps, kind, device).astype(kind.np, copy=False)
    return finish(array, "linspace", out, requires_grad)


@public()
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    out: Tensor | None = None,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from ``base ** start`` to ``base ** end``, evenly spaced in the exponent."""
    kind = _spaced_dtype(dtype, out, start, end)
    array = (base ** _between("logspace", start, end, steps, kind, device)).astype(
        kind.np, copy=False
    )
    return finish(array, "logspace", out, requires_grad)


class Tril(Op):
    """Lower triangle of the last two dimensions; the rest is zero."""

    def forward(ctx, x: Array, diagonal: int) -> Array:
        ctx.diagonal = diagonal
        return ctx.xp.ascontiguousarray(ctx.xp.tril(x, diagonal))

    def backward(ctx, g: Any) -> Any:
        return ctx.F.tril(g, ctx.diagonal)


class Triu(Op):
    """Upper triangle of the last two dimensions; the rest is zero."""

    def forward(ctx, x: Array, diagonal: int) -> Array:
        ctx.diagonal = diagonal
        return ctx.xp.ascontiguousarray(ctx.xp.triu(x, diagonal))

    def backward(ctx, g: Any) -> Any:
        return ctx.F.triu(g, ctx.diagonal)


def _triangle(op: type[Op], input: Tensor, diagonal: int) -> Tensor:
    if input.ndim < 2:
        name = op.op_name.lower()
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    return op.apply(input, diagonal=diagonal)


@public(method=True, inplace=True)
@accepts_out
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """Lower triangle of matrices (*, n, m), zeros above `diagonal`; RuntimeError below 2-D."""
    return _triangle(Tril, input, diagonal)


@public(method=True, inplace=True)
@accepts_out
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """Upper triangle of matrices (*, n, m), zeros below `diagonal`; RuntimeError below 2-D."""
    return _triangle(Triu, input, diagonal)


def _triangle_indices(
    row: int, col: int, offset: int, lower: bool, dtype: Dtype, device: Any
) -> Tensor:
    for name, n in (("row", row), ("col", col)):
        if n < 0:
            raise RuntimeError(f"{name} must be non-negative, got{n}")
    xp = backend_for(chosen_device(device)).xp
    ones = xp.ones((row, col), "bool")
    mask = xp.tril(ones, offset) if lower else xp.triu(ones, offset)
    return Tensor._wrap(xp.stack(xp.nonzero(mask)).astype(dtype.np, copy=False))


@public()
def tril_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Dtype = int64,
    device: Any = None,
    layout: Any = None,
) -> Tensor:
    """Rows and columns (2, n) of the lower triangle of a matrix (row, col)."""
    return _triangle_indices(row, col, offset, True, dtype, device)


@public()
def triu_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Dtype = int64,
    device: Any = None,
    layout: Any = None,
) -> Tensor:
    """Rows and columns (2, n) of the upper triangle of a matrix (row, col)."""
    return _triangle_indices(row, col, offset, False, dtype, device)


@public()
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Grids of coordinates from 1-D tensors: views of shape (len(a), len(b), ...).

    `indexing` "xy" swaps the first two dimensions. Warns, as PyTorch, if it is not given; raises
    RuntimeError for tensors of more than one dimension.
    """
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
            "argument.",
            UserWarning,
            stacklevel=2,
        )
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for t in tensors:
        if t.dtype is not tensors[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
        if t.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {t!r}"
            )
    swap = indexing == "xy" and len(tensors) >= 2
    axes = (tensors[1], tensors[0], *tensors[2:]) if swap else tensors
    shape = [t.numel() for t in axes]
    grids = [
        expand(reshape(t, [-1 if d == i else 1 for d in _indices(axes)]), shape)
        for i, t in enumerate(axes)
    ]
    if swap:
        grids = [grids[1], grids[0], *grids[2:]]
    return tuple(grids)


def _indices(items: Sequence[Any]) -> Sequence[int]:
    return [i for i, _ in enumerate(items)]


def _check_vector(tensor: Tensor) -> None:
    if tensor.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(tensor.shape)}")


@public()
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of the elements of 1-D tensors: (product of lengths, number of tensors)."""
    for t in tensors:
        _check_vector(t)
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return stack([reshape(g, (-1,)) for g in grids], 1)


@public()
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations (n, r) of `r` elements of a 1-D tensor, in order."""
    _check_vector(input)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(_indices(input), r))
    picked = input.backend.asarray(rows, "int64").reshape(-1, r)
    return getitem(input, Tensor._wrap(picked))
