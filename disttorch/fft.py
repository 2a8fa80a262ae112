"""``torch.fft``: discrete Fourier transforms.

The operators are in `disttorch.ops`, under the names ``fft_*``.
"""

from __future__ import annotations

from disttorch.ops import MARKED

_PREFIX = "fft_"

_FUNCTIONS = {
    name.removeprefix(_PREFIX): function
    for name, function in MARKED.items()
    if name.startswith(_PREFIX)
}
globals().update(_FUNCTIONS)

__all__ = list(_FUNCTIONS)


def __getattr__(name: str) -> object:
    """Only here for type checkers: every function is a global already."""
    raise AttributeError(f"module 'disttorch.fft' has no attribute {name!r}")
