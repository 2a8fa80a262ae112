"""All rows, and the public names that have none with the reason why."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from disttorch.testing.opspec.spec import OpSpec

_NOT_A_FAMILY = {"spec", "table"}

# Public name -> why no row of the table can test it; its own test file does.
EXEMPT: dict[str, str] = {
    "from_numpy": "no operator: shares memory with an ndarray (tests/ops/test_create.py)",
    "tensor": "no operator: makes a leaf from any data (tests/ops/test_create.py)",
}


@cache
def all_specs() -> tuple[OpSpec, ...]:
    """Every row of every family, in order of file names."""
    families = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return tuple(
        spec
        for family in families
        if family not in _NOT_A_FAMILY
        for spec in import_module(f"{__package__}.{family}").SPECS
    )


def names_with_rows() -> set[str]:
    """Names of public operators that some row tests, aliases and exemptions included."""
    rows = {name for spec in all_specs() for name in (spec.name, *spec.aliases)}
    return rows | set(EXEMPT)
