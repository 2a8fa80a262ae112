"""Pointwise operators in one pass over memory, by kernels made from the table of formulas."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from disttorch.backends.cpu.jit.formulas import FORMULAS
from disttorch.backends.cpu.jit.switch import pays
from disttorch.backends.cpu.threads import get_num_threads
from disttorch.backends.cpu.workers import run_pieces

Array = np.ndarray

_NUMBER = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?(?:e-?\d+)?)")
_PIECE = 1 << 17  # elements that a thread takes at a time
_SHARED_FROM = 1 << 20  # elements; a second thread wakes up too late for fewer


def forward_kernel(op: str, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    """Return ``run(flat inputs, flat output)`` for an operator's inputs, None without a kernel."""
    formula = FORMULAS.get(op)
    if formula is None or not formula.forward:
        return None
    return _bound(op, "forward", formula.inputs, arrays, params)


def backward_kernel(op: str, g: Array, saved: Sequence[Any], notes: dict[str, Any]) -> Any:
    """Return ``run(flat [g, *saved], flat gradient)``, None if there is no kernel for them."""
    formula = FORMULAS.get(op)
    if formula is None or not formula.backward:
        return None
    keywords = {name: notes[name] for name in formula.keywords.split()}
    return _bound(op, "backward", f"g {formula.saved}", (g, *saved), keywords)


def _bound(op: str, way: str, names: str, values: Sequence[Any], keywords: dict[str, Any]) -> Any:
    """The kernel with its numbers filled in, if all values are such as it can take."""
    named = names.split()
    if len(named) != len(values):
        return None
    arrays, numbers, n = [], {}, 0
    for name, value in zip(named, values, strict=True):
        if getattr(value, "ndim", 0):
            if value.dtype != np.float32:
                return None
            arrays.append(name)
            n = max(n, value.size)
        else:
            numbers[name] = value
    numbers |= keywords
    if any(isinstance(v, complex) for v in numbers.values()) or not pays(f"{op} {way}", n):
        return None
    kernel = _compiled(op, way, tuple(arrays), tuple(numbers))
    kept = [i for i, name in enumerate(named) if name in arrays]
    return _Run(kernel, kept, [_float(name, value) for name, value in numbers.items()])


def _float(name: str, value: Any) -> np.float32:
    """A number for a kernel; a bound that is None bounds nothing."""
    return np.float32((-math.inf if name == "low" else math.inf) if value is None else value)


class _Run:
    """A kernel at work: on pieces of flat arrays, in as many threads as are set."""

    def __init__(self, kernel: Callable[..., None], kept: list[int], scalars: list[Any]) -> None:
        self.kernel, self.kept, self.scalars = kernel, kept, scalars

    def __call__(self, flat: Sequence[Array], out: Array) -> None:
        """Compute `out` from arrays of the same length, in the order of the formula's names."""
        arrays = [flat[i] for i in self.kept]
        kernel, scalars, n = self.kernel, self.scalars, out.size
        if n < _SHARED_FROM or get_num_threads() < 2:
            kernel(*arrays, out, *scalars)
            return

        def work(i: int) -> None:
            part = slice(i * _PIECE, (i + 1) * _PIECE)
            kernel(*[a[part] for a in arrays], out[part], *scalars)

        run_pieces(work, -(-n // _PIECE))


@cache
def _compiled(op: str, way: str, arrays: tuple[str, ...], numbers: tuple[str, ...]) -> Any:
    """The compiled loop of a formula."""
    from disttorch.backends.cpu.jit import maths  # noqa: PLC0415 - Numba waits for a first kernel
    from disttorch.backends.cpu.jit.compiling import compiled  # noqa: PLC0415 - the same

    expression = _NUMBER.sub(r"f4(\1)", getattr(FORMULAS[op], way))
    # The name carries what the kernel is made from: Numba looks for it in its cache on disk by
    # name and by the age of this file.
    made_from = " ".join((expression, *arrays, "and", *numbers)).encode()
    name = f"{op}_{way}_{zlib.crc32(made_from):08x}"
    lines = [
        f"def {name}({', '.join([*(f'{a}_' for a in arrays), 'out', *numbers])}):",
        "    for i in range(out.size):",
        *(f"        {a} = {a}_[i]" for a in arrays),
        f"        out[i] = {expression}",
    ]
    namespace = dict(vars(maths))
    exec(compile("\n".join(lines), __file__, "exec"), namespace)  # a formula of our own table
    return compiled(namespace[name])
