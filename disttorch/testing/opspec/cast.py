"""Rows of `ops/cast*.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.dtype import float64
from disttorch.ops import cast
from disttorch.testing.opspec.shape import calls
from disttorch.testing.opspec.spec import OpSpec, Sample, complexes, floats, sample

_ANY = calls((), (3,), (2, 3), (2, 0))
_COMPLEX = tuple(sample(complexes(*s)) for s in ((), (3,), (2, 3), (2, 0)))
_PAIRS = tuple(sample(floats(*s), floats(*s)) for s in ((), (3,), (2, 3), (2, 0)))
_ONE_DTYPE = {
    "float32": "the result's dtype is in the name",
    "fake_grad": "",
    "gradcheck": "needs float64 throughout",
    "gradgradcheck": "needs float64 throughout",
}


def _cast(name: str, dtype: str) -> OpSpec:
    exact = dtype in ("float64", "complex128")
    return OpSpec(
        name,
        ref=lambda x: np.asarray(x).astype(dtype),
        samples=_ANY,
        skip={k: v for k, v in _ONE_DTYPE.items() if k == "float32" or not exact},
    )


def _polar(r: Any, angle: Any) -> Any:
    return r * np.exp(1j * angle)


def _copied(*pairs: Any) -> tuple[Sample, ...]:
    return tuple(sample(floats(*a), floats(*b)) for a, b in pairs)


CASTS = (
    *(
        _cast(name, dtype)
        for name, dtype in (
            *(("double", "float64"), ("float", "float32"), ("half", "float16"), ("int", "int32")),
            *(("long", "int64"), ("short", "int16"), ("char", "int8"), ("bool", "bool")),
            *(("cfloat", "complex64"), ("cdouble", "complex128")),
        )
    ),
    OpSpec(
        "to",
        ref=lambda x, _: x,
        samples=calls((), (2, 3), (0,), args=(float64,)),
        skip={"float32": "the dtype is an argument"},
    ),
    OpSpec("type_as", ref=lambda x, y: x, samples=_PAIRS),
    OpSpec("clone", ref=np.copy, samples=_ANY, integers="same", bools="same"),
    OpSpec("contiguous", ref=np.copy, samples=_ANY, integers="same", bools="same"),
    OpSpec(
        "copy_",
        op=lambda x, y: cast.copy_(cast.clone(x), y),
        ref=lambda x, y: np.broadcast_to(y, x.shape),
        samples=_copied(((), ()), ((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 0), (1,))),
    ),
)

COMPLEX = (
    OpSpec("real", ref=np.real, samples=(*_ANY, *_COMPLEX), integers="same"),
    OpSpec("imag", ref=np.imag, samples=_COMPLEX),
    OpSpec("conj", ref=np.conj, samples=(*_ANY, *_COMPLEX), aliases=("conj_physical",)),
    OpSpec("complex", ref=lambda x, y: x + 1j * y, samples=_PAIRS),
    OpSpec("polar", ref=_polar, samples=_PAIRS),
    OpSpec("view_as_real", ref=lambda z: np.stack([z.real, z.imag], -1), samples=_COMPLEX),
    OpSpec(
        "view_as_complex",
        ref=lambda x: x[..., 0] + 1j * x[..., 1],
        samples=calls((2,), (3, 2), (2, 0, 2)),
        skip={
            "0-d": "needs pairs",
            "strided": "needs pairs that lie side by side",
            "gradcheck": "needs pairs that lie side by side",
        },
    ),
)

SPECS = (*CASTS, *COMPLEX)

EXEMPT = {
    **dict.fromkeys(
        ("bfloat16", "byte", "cpu", "cuda", "is_complex", "is_conj", "is_floating_point"),
        "tests/ops/test_cast.py",
    ),
    **dict.fromkeys(
        ("is_pinned", "pin_memory", "resolve_conj", "resolve_neg"), "tests/ops/test_cast.py"
    ),
}
