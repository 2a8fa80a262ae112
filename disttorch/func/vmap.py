"""`vmap`: call a function once for every slice of a batch and stack the results."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from disttorch import random
from disttorch.func import pytree
from disttorch.ops.join import stack
from disttorch.tensor import Tensor

Function = Callable[..., Any]

_RANDOM = (
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
    "'different' randomness flags on vmap or perform the randomness operation out of vmap"
)


def vmap(
    func: Function,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Function:
    """Return a function that maps `func` over dimension `in_dims` of its inputs.

    `in_dims` and `out_dims` are numbers, None, or trees of them that fit the inputs and outputs.
    The function is called for one slice after the other, so `chunk_size` changes nothing.
    `randomness`: "error" refuses random operations, "same" and "different" say what slices draw.
    Raises ValueError, with PyTorch's texts, for dimensions that do not fit, RuntimeError for random
    operations (https://docs.pytorch.org/docs/stable/generated/torch.func.vmap.html).
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func, updated=())
    def mapped(*args: Any, **keywords: Any) -> Any:
        batch = _Batch(func, in_dims, args)
        rows = [
            pytree.flatten(func(*row, **keywords)) for row in _drawing(batch.rows(), randomness)
        ]
        return _joined(_name(func), rows, out_dims, empty=batch.size == 0)

    return mapped


def _name(func: Function) -> str:
    return getattr(func, "__name__", None) or repr(func)


class _Batch:
    """The arguments of a mapped call, checked and cut into rows."""

    def __init__(self, func: Function, in_dims: Any, args: Any) -> None:
        name = _name(func)
        if not isinstance(in_dims, (int, tuple, list)):
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or "
                "a (potentially nested) tuple matching the structure of inputs, got: "
                f"{type(in_dims)}."
            )
        if not args:
            raise ValueError(
                f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you "
                "are trying to vmap over a function with no inputs. The latter is unsupported."
            )
        self._leaves, self._spec = pytree.flatten(args)
        dims = pytree.spread(tuple(in_dims) if isinstance(in_dims, list) else in_dims, self._spec)
        if dims is None:
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible with "
                f"the structure of `inputs`. in_dims has structure {pytree.flatten(in_dims)[1]} "
                f"but inputs has structure {self._spec}."
            )
        self._dims = [
            _checked_dim(f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)", dim, x)
            for dim, x in zip(dims, self._leaves, strict=True)
        ]
        self.size = self._common_size()

    def _common_size(self) -> int:
        sizes = [
            x.shape[dim] for dim, x in zip(self._dims, self._leaves, strict=True) if dim is not None
        ]
        if not sizes:
            raise ValueError("vmap: Expected at least one Tensor to vmap over")
        if any(size != sizes[0] for size in sizes):
            raise ValueError(
                "vmap: Expected all tensors to have the same size in the mapped dimension, got "
                f"sizes {sizes} for the mapped dimension"
            )
        return sizes[0]

    def rows(self) -> Iterator[Any]:
        """The arguments of each call; one row of zeros for an empty batch."""
        for i in range(self.size):
            yield self._row(lambda x, dim, i=i: x.select(dim, i))
        if not self.size:
            yield self._row(lambda x, dim: x.sum(dim))

    def _row(self, cut: Callable[[Any, int], Any]) -> Any:
        pairs = zip(self._leaves, self._dims, strict=True)
        return pytree.unflatten([x if dim is None else cut(x, dim) for x, dim in pairs], self._spec)


def _checked_dim(call: str, dim: Any, x: Any) -> int | None:
    """A dimension of `x`, made non-negative; PyTorch's errors if it is none."""
    if dim is None:
        return None
    if not isinstance(dim, int):
        raise ValueError(
            f"{call}: Got in_dim={dim} for an input but in_dim must be either an integer dimension "
            "or None."
        )
    if not isinstance(x, Tensor):
        raise ValueError(
            f"{call}: Got in_dim={dim} for an input but the input is of type {type(x)}. We cannot "
            "vmap over non-Tensor arguments, please use None as the respective in_dim"
        )
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(
            f"{call}: Got in_dim={dim} for some input, but that input is a Tensor of "
            f"dimensionality {x.ndim} so expected in_dim to satisfy -{x.ndim} <= in_dim < {x.ndim}."
        )
    return dim % x.ndim


def _drawing(rows: Iterator[Any], randomness: str) -> Iterator[Any]:
    """Hand on the rows, with the generator as `randomness` says it shall be for each."""
    if randomness == "different":
        yield from rows
        return
    state = random.get_rng_state()
    for row in rows:
        if randomness == "same":
            random.set_rng_state(state)
        yield row
        if randomness == "error" and not bool((random.get_rng_state() == state).all()):
            random.set_rng_state(state)
            raise RuntimeError(_RANDOM)


def _joined(name: str, rows: list[Any], out_dims: Any, empty: bool) -> Any:
    """Stack the outputs of all calls."""
    spec = rows[0][1]
    if not all(dim is None or isinstance(dim, int) for dim in pytree.flatten(out_dims)[0]):
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python "
            "collection of ints representing where in the outputs the vmapped dimension should "
            "appear."
        )
    dims = pytree.spread(out_dims, spec)
    if dims is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with "
            f"the structure of `outputs`. out_dims has structure {pytree.flatten(out_dims)[1]} but "
            f"outputs has structure {spec}."
        )
    columns = zip(*(leaves for leaves, _ in rows), strict=True)
    joined = [_column(name, c, dim, empty) for c, dim in zip(columns, dims, strict=True)]
    return pytree.unflatten(joined, spec)


def _column(name: str, values: tuple[Any, ...], dim: int | None, empty: bool) -> Any:
    """One output of all calls, stacked along `dim`; that of the first call if there is no `dim`."""
    if dim is None:
        return values[0]
    if not isinstance(values[0], Tensor):
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(values[0])}. "
            "Did you mean to set out_dims= to None for output?"
        )
    stacked = stack(list(values), dim)
    return stacked.narrow(dim, 0, 0) if empty else stacked


__all__ = ["vmap"]
