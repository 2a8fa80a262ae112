"""``torch.linalg``: decompositions, solutions, norms and products of matrices.

The operators are in `disttorch.ops`, under the names ``linalg_*``.
"""

from __future__ import annotations

from disttorch.errors import LinAlgError
from disttorch.ops import MARKED

_PREFIX = "linalg_"

_FUNCTIONS = {
    name.removeprefix(_PREFIX): function
    for name, function in MARKED.items()
    if name.startswith(_PREFIX)
}
globals().update(_FUNCTIONS)

__all__ = list(_FUNCTIONS)
__all__ += ["LinAlgError"]


def __getattr__(name: str) -> object:
    """Only here for type checkers: every function is a global already."""
    raise AttributeError(f"module 'disttorch.linalg' has no attribute {name!r}")
