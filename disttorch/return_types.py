"""Named results of operators with several outputs, such as ``sort(x).values``."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any


class NamedResult(tuple[Any, ...]):
    """A tuple whose items have names too; prints as ``torch.return_types.<name>(...)``."""

    __slots__ = ()
    names: tuple[str, ...] = ()

    def __new__(cls, items: Iterable[Any]) -> NamedResult:
        """Make one from the items in order; TypeError for another number of them than names."""
        self = tuple.__new__(cls, items)
        if len(self) != len(cls.names):
            raise TypeError(
                f"{cls.__name__}() takes a {len(cls.names)}-sequence ({len(self)}-sequence given)"
            )
        return self

    def __repr__(self) -> str:
        fields = ",\n".join(f"{n}={x!r}" for n, x in zip(self.names, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (tuple(self),)


def _named(name: str, *fields: str) -> type[NamedResult]:
    attributes: dict[str, Any] = {
        "__slots__": (),
        "__module__": __name__,
        "__doc__": f"Result of `{name}`: {', '.join(fields)}.",
        "names": fields,
        **{field: property(itemgetter(i)) for i, field in enumerate(fields)},
    }
    return type(name, (NamedResult,), attributes)


_FIELDS = {
    **dict.fromkeys(
        ("cummax", "cummin", "kthvalue", "max", "median", "min", "mode"), ("values", "indices")
    ),
    **dict.fromkeys(("nanmedian", "sort", "topk"), ("values", "indices")),
    "aminmax": ("min", "max"),
    "frexp": ("mantissa", "exponent"),
    "histogram": ("hist", "bin_edges"),
    "histogramdd": ("hist", "bin_edges"),
    "linalg_cholesky_ex": ("L", "info"),
    "linalg_eig": ("eigenvalues", "eigenvectors"),
    "linalg_eigh": ("eigenvalues", "eigenvectors"),
    "geqrf": ("a", "tau"),
    "linalg_inv_ex": ("inverse", "info"),
    "linalg_ldl_factor": ("LD", "pivots"),
    "linalg_ldl_factor_ex": ("LD", "pivots", "info"),
    "linalg_lstsq": ("solution", "residuals", "rank", "singular_values"),
    "linalg_lu": ("P", "L", "U"),
    "linalg_lu_factor": ("LU", "pivots"),
    "linalg_lu_factor_ex": ("LU", "pivots", "info"),
    "linalg_solve_ex": ("result", "info"),
    "lu_unpack": ("P", "L", "U"),
    "triangular_solve": ("solution", "cloned_coefficient"),
    "linalg_qr": ("Q", "R"),
    "linalg_slogdet": ("sign", "logabsdet"),
    "linalg_svd": ("U", "S", "Vh"),
    "qr": ("Q", "R"),
    "slogdet": ("sign", "logabsdet"),
    "svd": ("U", "S", "V"),
}
globals().update({name: _named(name, *fields) for name, fields in _FIELDS.items()})


def __getattr__(name: str) -> type[NamedResult]:
    """Only here for type checkers: every result type is a global already."""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
