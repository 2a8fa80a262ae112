"""Entries of PyTorch's test data that do not agree, and why."""

from __future__ import annotations

_CONJ = "PyTorch's view conjugates lazily; ours is a copy"
_HALF = "no complex32: complex numbers of two halves"
_FURTHER = "ours has a second derivative, PyTorch's none"
_INEXACT = "PyTorch's own values are off by 4e-7; ours, SciPy's, are right to 1e-15"
_ROUNDING = "second gradients of a decomposition by random projection: differ in the 7th digit"

# Bad inputs, by entry, that are taken or told in other words: `out=` that lies in memory which
# cannot grow, and one that overlaps an input only once it has grown.
ERROR_GAPS = {"cat": 2, "gather": 1}

GAPS: dict[str, str] = {
    "H": _CONJ,
    "as_strided_scatter": "PyTorch's gradient is that of another region than was written",
    "chalf": _HALF,
    "complex": _HALF,
    "conj": _CONJ,
    "cov": "weights that nearly cancel: second gradients differ in the 6th digit",
    "hash_tensor": "not there: its hash is an implementation detail of PyTorch",
    "istft": "PyTorch has no gradient of the window for some complex signals",
    "linalg.norm/subgradients_at_zero": "ours is 0 where PyTorch's second derivative is NaN",
    "mH": _CONJ,
    "masked.logaddexp": "ours is 0 where PyTorch's second derivative is NaN",
    "matrix_exp": "ours is finite where PyTorch's overflows to NaN (bfloat16, float16)",
    "mode": "of several most frequent values PyTorch names an arbitrary place, ours the last",
    "nn.functional.multi_head_attention_forward": "float32 and halves with scores in the hundreds",
    "nn.functional.linear_cross_entropy/chunked": _FURTHER,
    "nn.functional.linear_cross_entropy/chunked_none": _FURTHER,
    "pca_lowrank": _ROUNDING,
    "special.bessel_j0": _INEXACT,
    "special.bessel_y1": _INEXACT,
    "svd_lowrank": _ROUNDING,
    "view_as_complex": _HALF,
}
