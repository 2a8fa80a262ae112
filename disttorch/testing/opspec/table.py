"""All rows, and the public names that have none with the reason why."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from disttorch.testing.opspec.spec import OpSpec

_NOT_A_FAMILY = {"spec", "table"}

# Public name -> why no row of the table can test it; its own test file does. A family's file may
# have such a table too.
EXEMPT: dict[str, str] = {
    "from_numpy": "no operator: shares memory with an ndarray (tests/ops/test_create.py)",
    "tensor": "no operator: makes a leaf from any data (tests/ops/test_create.py)",
}


@cache
def families() -> tuple[ModuleType, ...]:
    """The modules with rows, in order of file names."""
    names = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return tuple(import_module(f"{__package__}.{n}") for n in names if n not in _NOT_A_FAMILY)


@cache
def all_specs() -> tuple[OpSpec, ...]:
    """Every row of every family."""
    return tuple(spec for family in families() for spec in family.SPECS)


def names_with_rows() -> set[str]:
    """Names of public operators that some row tests, aliases and exemptions included."""
    rows = {name for spec in all_specs() for name in (spec.name, *spec.aliases)}
    exempt = [getattr(family, "EXEMPT", {}) for family in families()]
    return rows.union(EXEMPT, *exempt)
