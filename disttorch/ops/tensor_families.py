"""The families about what a tensor is, where it lives and how it is looked at.

`MODULES` joins those of `ops`; `INPLACE_FUNCTIONS` are the in-place variants that PyTorch has as
functions too.
"""

from __future__ import annotations

from typing import Any

from disttorch.ops import (
    absent,
    create_buffer,
    create_legacy,
    elementwise_python,
    facts,
    index_flat,
    index_reduce,
    memory,
    shape_copy,
    shape_scatter,
    shape_sizes,
)
from disttorch.ops.cast_complex import imag, real
from disttorch.ops.pointwise_bounds import where
from disttorch.tensor import Tensor

MODULES = (
    *(absent, create_buffer, create_legacy, elementwise_python, facts, index_flat, index_reduce),
    *(memory, shape_copy, shape_scatter, shape_sizes),
)


def _where(input: Tensor, condition: Tensor, other: Any) -> Tensor:
    """Elements of the tensor where `condition` holds, else of `other`, a tensor or number."""
    return where(condition, input, other)


def _set_real(input: Tensor, value: Any) -> None:
    real(input)[...] = value


def _set_imag(input: Tensor, value: Any) -> None:
    imag(input)[...] = value


# What differs from the function of its name: `where` takes its arguments in another order, the
# parts of complex numbers can be assigned to.
METHODS = {"where": _where, "real": property(real, _set_real), "imag": property(imag, _set_imag)}

INPLACE_FUNCTIONS = (
    *("abs_", "acos_", "acosh_", "addmv_", "arccos_", "arccosh_", "arcsin_", "arcsinh_"),
    *("arctan_", "arctanh_", "as_strided_", "asin_", "asinh_", "atan_", "atanh_", "ceil_"),
    *("clamp_", "clamp_max_", "clamp_min_", "clip_", "conj_physical_", "cos_", "cosh_"),
    *("deg2rad_", "erf_", "erfc_", "exp2_", "exp_", "expm1_", "fill_", "fix_", "floor_"),
    *("frac_", "gcd_", "i0_", "index_put_", "lcm_", "ldexp_", "log10_", "log1p_", "log2_"),
    *("log_", "logit_", "nan_to_num_", "neg_", "negative_", "rad2deg_", "reciprocal_", "relu_"),
    *("resize_as_", "round_", "rsqrt_", "sigmoid_", "sin_", "sinc_", "sinh_", "sqrt_"),
    *("square_", "tan_", "tanh_", "trunc_", "xlogy_", "zero_"),
)
