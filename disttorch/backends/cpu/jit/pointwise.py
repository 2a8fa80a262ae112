"""Pointwise operators in one pass over memory, by kernels made from the table of formulas."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from disttorch.backends.cpu.jit.formulas import FORMULAS, Formula
from disttorch.backends.cpu.jit.switch import pays
from disttorch.backends.cpu.threads import get_num_threads
from disttorch.backends.cpu.workers import run_pieces

Array = np.ndarray

_NUMBER = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?(?:e-?\d+)?)")
_PIECE = 1 << 17  # elements that a thread takes at a time


def forward_kernel(op: str, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    """Return ``run(flat arrays, flat output)`` for an operator's inputs, None without a kernel."""
    formula = FORMULAS.get(op)
    if formula is None or not formula.forward:
        return None
    values = dict(zip(formula.inputs.split(), arrays, strict=True)) | params
    return _bound(op, "forward", formula, values)


def backward_kernel(op: str, g: Array, saved: Sequence[Any], notes: dict[str, Any]) -> Any:
    """Return ``run(flat [g, *saved], flat gradient)``, None if there is no kernel for them."""
    formula = FORMULAS.get(op)
    if formula is None or not formula.backward:
        return None
    values = dict(zip(formula.saved.split(), saved, strict=True))
    values |= {name: notes[name] for name in formula.keywords.split()}
    return _bound(op, "backward", formula, {"g": g, **values})


def _bound(op: str, way: str, formula: Formula, values: dict[str, Any]) -> Any:
    """The kernel with its numbers filled in, if all values are such as it can take."""
    scalar_names = {*formula.numbers.split(), *formula.keywords.split()}
    numbers, n = [], 0
    for name, value in values.items():
        if name not in scalar_names:
            if getattr(value, "dtype", None) != np.float32 or not value.ndim:
                return None
            n = value.size
        elif value is None:
            numbers.append(-math.inf if name == "low" else math.inf)
        elif getattr(value, "ndim", 0) or isinstance(value, complex):
            return None
        else:
            numbers.append(float(value))
    if not pays(f"{op} {way}", n):
        return None
    names = tuple(values)
    kernel = _compiled(op, way, tuple(k for k in names if k not in scalar_names),
                       tuple(k for k in names if k in scalar_names))  # fmt: skip
    scalars = [np.float32(v) for v in numbers]
    kept = [i for i, name in enumerate(names) if name not in scalar_names]
    return None if kernel is None else _Run(kernel, kept, scalars)


class _Run:
    """A kernel at work: on pieces of flat arrays, in as many threads as are set."""

    def __init__(self, kernel: Callable[..., None], kept: list[int], scalars: list[Any]) -> None:
        self.kernel, self.kept, self.scalars = kernel, kept, scalars

    def __call__(self, flat: Sequence[Array], out: Array) -> None:
        """Compute `out` from arrays of the same length, in the order of the formula's names."""
        arrays = [flat[i] for i in self.kept]
        kernel, scalars, n = self.kernel, self.scalars, out.size
        if get_num_threads() < 2:
            kernel(*arrays, out, *scalars)
            return

        def work(i: int) -> None:
            part = slice(i * _PIECE, (i + 1) * _PIECE)
            kernel(*[a[part] for a in arrays], out[part], *scalars)

        run_pieces(work, -(-n // _PIECE))


@cache
def _compiled(op: str, way: str, arrays: tuple[str, ...], numbers: tuple[str, ...]) -> Any:
    """The compiled loop of a formula."""
    # Not above: Numba is imported when the first kernel is wanted.
    from disttorch.backends.cpu.jit import maths  # noqa: PLC0415
    from disttorch.backends.cpu.jit.compiling import compiled  # noqa: PLC0415

    expression = _NUMBER.sub(r"f4(\1)", getattr(FORMULAS[op], way))
    # The name carries what the kernel is made from: Numba looks for it in its cache on disk by
    # name and by the age of this file.
    made_from = expression.encode() + Path(maths.__file__).read_bytes()
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
