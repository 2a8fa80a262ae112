"""`assert_close`: PyTorch's comparison for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from disttorch.dtype import promote_types
from disttorch.tensor import Tensor

# Relative and absolute tolerance by dtype; exact for integers and bools.
_TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless ``|actual - expected| <= atol + rtol * |expected|`` everywhere.

    Tensors, numbers, and sequences or mappings of them. The default tolerances follow the dtypes
    (https://docs.pytorch.org/docs/stable/testing.html).
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            f"Both 'rtol' and 'atol' must be either specified or unspecified, but got no "
            f"{'rtol' if rtol is None else 'atol'} and {'atol' if rtol is None else 'rtol'} instead"
        )
    options = (rtol, atol, equal_nan, check_device, check_dtype, check_stride)
    problem = _difference(actual, expected, "", options)
    if problem:
        raise AssertionError(msg(problem) if callable(msg) else msg or problem)


def _difference(actual: Any, expected: Any, where: str, options: tuple[Any, ...]) -> str:
    """Describe the first difference; empty if there is none."""
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping) or set(actual) != set(expected):
            return f"The keys of the mappings do not match{where}"
        items = [(actual[k], expected[k], k) for k in expected]
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        if not isinstance(actual, Sequence) or len(actual) != len(expected):
            return f"The length of the sequences mismatch{where}"
        items = [(a, e, k) for k, (a, e) in enumerate(zip(actual, expected, strict=True))]
    else:
        return _leaf_difference(actual, expected, where, options)
    for a, e, k in items:
        problem = _difference(a, e, f"{where} at item {k!r}", options)
        if problem:
            return problem
    return ""


def _leaf_difference(actual: Any, expected: Any, where: str, options: tuple[Any, ...]) -> str:
    rtol, atol, equal_nan, check_device, check_dtype, check_stride = options
    both = isinstance(actual, Tensor) and isinstance(expected, Tensor)
    a, e = _host(actual), _host(expected)
    if a.shape != e.shape:
        return f"The values for attribute 'shape' do not match: {actual.shape} != {expected.shape}."
    if both:
        checks = (("device", check_device), ("dtype", check_dtype))
        for name in [name for name, wanted in checks if wanted]:
            mine, other = getattr(actual, name), getattr(expected, name)
            if mine != other:
                return f"The values for attribute '{name}' do not match: {mine} != {other}."
        if check_stride and actual.stride() != expected.stride():
            return (
                f"The values for attribute 'stride()' do not match: {actual.stride()} != "
                f"{expected.stride()}."
            )
    if rtol is None:
        name = promote_types(actual.dtype, expected.dtype).name if both else "float64"
        rtol, atol = _TOLERANCES.get(name, (0.0, 0.0))
    wide = [
        x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)
        if x.dtype.kind in "fcV"
        else x
        for x in (a, e)
    ]
    close = np.isclose(*wide, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if close.all():
        return ""
    n_bad = int(np.size(close) - np.count_nonzero(close))
    worst = np.max(np.abs(np.subtract(*[w.astype(wide[0].dtype) for w in wide]).astype(complex)))
    kind = "Tensor-likes" if np.ndim(close) else "Scalars"
    return (
        f"{kind} are not close{where}!\n\nMismatched elements: {n_bad} / {np.size(close)} "
        f"({100 * n_bad / np.size(close):.1f}%)\nGreatest absolute difference: {worst} (up to "
        f"{atol} allowed; relative tolerance {rtol})"
    )


def _host(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        array: np.ndarray = value.backend.to_host(value._array)
        return array
    return np.asarray(value)
