"""When the kernels of `recurrent_kernels` are used."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from disttorch.backends.cpu.jit.switch import pays

_SMALL = 1 << 10  # elements of a step; with fewer, NumPy's calls and a kernel's cost alike


@cache
def _kernel(name: str) -> Callable[..., None]:
    # Not above: Numba is imported when the first kernel is wanted.
    from disttorch.backends.cpu.jit import recurrent_kernels  # noqa: PLC0415

    kernel: Callable[..., None] = getattr(recurrent_kernels, name)
    return kernel


def recurrent_kernel(name: str, gates: np.ndarray, n_steps: int) -> Callable[..., None] | None:
    """Return the kernel, if it is worth while for `n_steps` steps whose gates these are."""
    if gates.dtype != np.float32 or gates.size < _SMALL * n_steps:
        return None
    return _kernel(name) if pays(name, gates.size) else None
