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
    problem, where = _difference(actual, expected, "", options)
    if problem:
        problem += f"\n\nThe failure occurred for item {where}" if where else ""
        raise AssertionError(msg(problem) if callable(msg) else msg or problem)


def _difference(
    actual: Any, expected: Any, where: str, options: tuple[Any, ...]
) -> tuple[str, str]:
    """Describe the first difference, empty if there is none, and where it is: ``[0]['a']``."""
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping) or set(actual) != set(expected):
            return "The keys of the mappings do not match", where
        items = [(actual[k], expected[k], k) for k in expected]
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        if not isinstance(actual, Sequence) or len(actual) != len(expected):
            return "The length of the sequences mismatch", where
        items = [(a, e, k) for k, (a, e) in enumerate(zip(actual, expected, strict=True))]
    else:
        return _leaf_difference(actual, expected, options), where
    for a, e, k in items:
        found = _difference(a, e, f"{where}[{k!r}]", options)
        if found[0]:
            return found
    return "", where


def _leaf_difference(actual: Any, expected: Any, options: tuple[Any, ...]) -> str:
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
    common = promote_types(actual.dtype, expected.dtype).np if both else np.result_type(a, e)
    if common.kind in ("b", "u", "i"):
        common = np.dtype(np.int64)
    return _report(a.astype(common), e.astype(common), close, rtol, atol)


def _report(a: np.ndarray, e: np.ndarray, close: Any, rtol: float, atol: float) -> str:
    """Say how far arrays of one shape and dtype differ where `close` is False, in PyTorch's words.

    Integers and bools come as int64.
    """
    exact = rtol == atol == 0
    kind = "Tensor-likes" if np.ndim(close) else "Scalars"
    kind += " are not equal!" if exact else " are not close!"
    allowed = ("", "") if exact else (f" (up to {atol} allowed)", f" (up to {rtol} allowed)")
    with np.errstate(all="ignore"):
        apart = np.abs(a - e)
        ratio = np.float32 if a.dtype.kind == "i" else apart.dtype
        share = np.divide(apart, np.abs(e), dtype=ratio, casting="unsafe")
    if not np.ndim(close):
        return (
            f"{kind}\n\nExpected {e.item()} but got {a.item()}.\n"
            f"Absolute difference: {apart.item()}{allowed[0]}\n"
            f"Relative difference: {share.item()}{allowed[1]}"
        )
    n_bad = int(np.size(close) - np.count_nonzero(close))
    lines = [f"Mismatched elements: {n_bad} / {close.size} ({n_bad / close.size:.1%})"]
    for name, values, bound in zip(("absolute", "relative"), (apart, share), allowed, strict=True):
        # argmax finds a NaN first, and what is close counts as no difference.
        at = np.unravel_index(np.argmax(np.where(close, 0, values)), close.shape)
        where = tuple(int(k) for k in at)
        lines.append(f"Greatest {name} difference: {values[where].item()} at index {where}{bound}")
    return f"{kind}\n\n" + "\n".join(lines)


def _host(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        array: np.ndarray = value.backend.to_host(value._array)
        return array
    return np.asarray(value)
