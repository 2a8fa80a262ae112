"""Rows of `ops/reduce.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import (
    OpSpec,
    Sample,
    Values,
    array,
    bools,
    complexes,
    floats,
    ints,
    sample,
)

NAN = array([[1.0, np.nan, 3.0], [np.nan, np.nan, 0.5]])


def over_dims(
    values: Callable[..., Values] = floats, many: bool = True, whole: bool = True
) -> tuple[Sample, ...]:
    """Samples over one dim, several (if `many`) and all (if `whole`), kept and dropped."""
    one = [
        sample(values(2, 3), 0),
        sample(values(2, 3), -1, True),
        sample(values(2, 3, 2), 1),
        sample(values(0, 3), 1),
        sample(values(3, 0), 0, keepdim=True),
        sample(values(), 0),
    ]
    several = [
        sample(values(2, 3, 2), (0, 2)),
        sample(values(2, 3, 2), dim=(-1, 1), keepdim=True),
        sample(values(2, 2), ()),
    ]
    everything = [sample(values()), sample(values(3)), sample(values(2, 3))]
    return (*one, *(several if many else ()), *(everything if whole else ()))


def numpy_style(function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """NumPy's reduction with PyTorch's names of arguments; an empty tuple of dims means all."""

    def reference(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
        axis = None if isinstance(dim, tuple) and not dim else dim
        return function(x, axis=axis if x.ndim else None, keepdims=keepdim, **fixed)

    return reference


def counted(x: np.ndarray, dim: Any = None) -> Any:
    """count_nonzero as an int64 array."""
    return np.asarray(np.count_nonzero(x, axis=dim if x.ndim else None), np.int64)


def product(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
    """Product, in int64 for integers."""
    return numpy_style(np.prod)(x, dim, keepdim)


EMPTY_SUM = (sample(floats(2, 0), 1), sample(floats(0)))
TRUTH = (
    *over_dims(bools),
    sample(ints(2, 3), 1),
    sample(floats(3)),
    sample(ints(3, dtype="uint8")),
)
ZEROS = (
    sample(array([2.0, 0.0, 3.0])),
    sample(array([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]]), 1),
    sample(array([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]]), 0, True),
)


def truth(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's any or all, which PyTorch keeps in uint8 for uint8."""

    def reference(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
        result = np.asarray(numpy_style(function)(x, dim, keepdim))
        return result.astype(x.dtype) if x.dtype == np.uint8 else result

    return reference


SPECS = (
    OpSpec("all", ref=truth(np.all), samples=TRUTH),
    OpSpec("any", ref=truth(np.any), samples=TRUTH),
    OpSpec(
        "count_nonzero",
        ref=counted,
        samples=(
            *(sample(ints(*s)) for s in [(), (3,), (2, 0)]),
            sample(ints(2, 3), 1),
            sample(floats(2, 3), (0, 1)),
        ),
    ),
    OpSpec(
        "mean",
        ref=numpy_style(np.mean),
        samples=(
            *(s for s in over_dims() if 0 not in s.values()[0].shape),
            sample(complexes(3)),
            sample(floats(0, 3), 1),
        ),
        integers="refused",
    ),
    OpSpec(
        "nanmean",
        ref=numpy_style(np.nanmean),
        samples=(sample(NAN, 1), sample(NAN), sample(floats()), sample(floats(0, 3), 1)),
        skip={"gradcheck": "differences of NaN"},
    ),
    OpSpec(
        "nansum",
        ref=numpy_style(np.nansum),
        samples=(*over_dims(), sample(NAN, 1), sample(NAN)),
        skip={"gradcheck": "differences of NaN; the next row"},
    ),
    OpSpec("nansum", ref=numpy_style(np.nansum), samples=over_dims()),
    OpSpec("prod", ref=product, samples=(*over_dims(many=False), *ZEROS, sample(complexes(3)))),
    OpSpec(
        "sum",
        ref=numpy_style(np.sum),
        samples=(*over_dims(), *EMPTY_SUM, sample(complexes(2, 2), 0)),
        integers="int64",
        bools="int64",
    ),
)
