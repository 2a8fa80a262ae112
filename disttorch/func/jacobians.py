"""`jacrev`, `jacfwd`, `hessian`: whole Jacobians, row by row or column by column."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from disttorch.func import pytree
from disttorch.func.transforms import Argnums, Chosen, Function, Level, check_outputs
from disttorch.ops.join import stack
from disttorch.tensor import Tensor


def jacrev(
    func: Function,
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Function:
    """Return the function that computes the Jacobian of `func` by backward sweeps, one a row.

    For outputs and inputs that are trees the result is a tree of trees; each leaf has the output's
    shape followed by the input's. `chunk_size` changes nothing. Raises RuntimeError for complex
    tensors (https://docs.pytorch.org/docs/stable/generated/torch.func.jacrev.html).
    """
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    def rows(level: Level, outputs: Sequence[Tensor]) -> list[list[Tensor]]:
        """By output, then input."""
        table = []
        for k, y in enumerate(outputs):
            grads = []
            for unit in _basis(y):
                zeros = [Tensor._wrap(o.backend.xp.zeros_like(o._array)) for o in outputs]
                zeros[k] = unit
                grads.append(pytree.flatten(level.pull(outputs, zeros, keep=True))[0])
            table.append([_blocks(g, x, y, 0) for g, x in _columns(grads, level.inputs)])
        return table

    return _jacobian("jacrev", rows, func, argnums, has_aux)


def jacfwd(
    func: Function, argnums: Argnums = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Function:
    """Return the function that computes the Jacobian of `func`, one column at a time.

    Cheaper than `jacrev` where there are fewer inputs than outputs; the results are the same
    (https://docs.pytorch.org/docs/stable/generated/torch.func.jacfwd.html).
    """

    def columns(level: Level, outputs: Sequence[Tensor]) -> list[list[Tensor]]:
        push = level.pushforward(outputs)
        by_input = []
        for i, x in enumerate(level.inputs):
            pushed = []
            for unit in _basis(x):
                zeros = [Tensor._wrap(o.backend.xp.zeros_like(o._array)) for o in level.inputs]
                zeros[i] = unit
                pushed.append(push(zeros))
            by_input.append([_blocks(v, x, y, -1) for v, y in _columns(pushed, outputs)])
        return [list(row) for row in zip(*by_input, strict=True)]

    return _jacobian("jacfwd", columns, func, argnums, has_aux)


def hessian(func: Function, argnums: Argnums = 0) -> Function:
    """Return the function that computes second derivatives: `jacfwd` of `jacrev`.

    See https://docs.pytorch.org/docs/stable/generated/torch.func.hessian.html.
    """
    return jacfwd(jacrev(func, argnums), argnums)


def _jacobian(
    api: str,
    blocks: Callable[[Level, Sequence[Tensor]], list[list[Tensor]]],
    func: Function,
    argnums: Argnums,
    has_aux: bool,
) -> Function:
    """Call `func`, let `blocks` compute one block for each output and input, shape the result."""

    @functools.wraps(func, updated=())
    def jacobian(*args: Any, **keywords: Any) -> Any:
        _refuse_complex(api, pytree.flatten(args)[0], "inputs")
        call = f"{api}(f, ...)(*args)"
        level = Level(func, args, Chosen(argnums), keywords, aux=call if has_aux else "")
        outputs, spec = pytree.flatten(level.result)
        check_outputs(outputs, level.result, call)
        _refuse_complex(api, outputs, "outputs")
        table = blocks(level, outputs)
        result = pytree.unflatten([pytree.unflatten(row, level.spec) for row in table], spec)
        return (result, level.aux) if has_aux else result

    return jacobian


def _refuse_complex(api: str, values: Sequence[Any], what: str) -> None:
    for x in values:
        if isinstance(x, Tensor) and x.is_complex():
            raise RuntimeError(
                f"{api}: Expected all {what} to be real but received complex tensor at flattened "
                f"input idx: {next(i for i, v in enumerate(values) if v is x)}"
            )


def _basis(x: Tensor) -> list[Tensor]:
    """The unit tensors of the shape of `x`."""
    backend, n = x.backend, x.numel()
    units = backend.xp.eye(n, dtype=x._array.dtype).reshape(n, *x._array.shape)
    return [Tensor._wrap(units[i, ...]) for i in range(n)]


def _columns(rows: list[list[Tensor]], like: Sequence[Tensor]) -> list[tuple[Any, Tensor]]:
    """Transpose a list of rows; each column with its tensor of `like`."""
    return [([row[i] for row in rows], x) for i, x in enumerate(like)]


def _blocks(parts: list[Tensor], x: Tensor, y: Tensor, dim: int) -> Tensor:
    """Stack the rows (`dim` 0) or columns (`dim` -1) of one block: shape of `y`, then of `x`."""
    shape = (*y.shape, *x.shape)
    if not parts:
        return y.new_zeros(shape)
    return stack(parts, dim).reshape(shape)


__all__ = ["hessian", "jacfwd", "jacrev"]
