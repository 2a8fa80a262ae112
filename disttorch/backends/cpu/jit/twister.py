"""The state of a NumPy generator in memory, and when kernels draw from it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np

from disttorch.backends.cpu.jit.switch import pays

_WORDS = 624
_SMALL = 1 << 12  # numbers; fewer cost less than the calls around a kernel


@cache
def _kernel(name: str) -> Callable[..., None]:
    # Not above: Numba is imported when the first kernel is wanted.
    from disttorch.backends.cpu.jit import twister_kernels  # noqa: PLC0415

    kernel: Callable[..., None] = getattr(twister_kernels, name)
    return kernel


def twister_kernel(name: str, n: int) -> Callable[..., None] | None:
    """Return the kernel that draws `n` numbers, if it is worth while."""
    # A word costs NumPy as much as a dozen elements of what the other kernels do.
    return _kernel(name) if n >= _SMALL and pays(f"random {name}", 12 * n) else None


def memory_of(bits: np.random.MT19937) -> tuple[np.ndarray, np.ndarray]:
    """View the key (624,) and the position (1,) of a generator, which must outlive the views."""
    address = bits.ctypes.state_address
    memory = (ctypes.c_char * (4 * _WORDS + 4)).from_address(address)
    return np.frombuffer(memory, np.uint32, _WORDS), np.frombuffer(memory, np.int32, 1, 4 * _WORDS)
