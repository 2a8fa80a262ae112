"""Operators, one family a file: class with forward and backward, then the public function.

`MODULES` is the table of families. `PUBLIC` maps the names of functions marked `@public` to them,
`METHODS` the names that become methods of Tensor, in-place variants included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.recorded import RECORDED
from disttorch.backends.raw import FUNCTION_NAMES
from disttorch.ops import (
    activation,
    activation_random,
    activation_smooth,
    arguments,
    arithmetic,
    arithmetic_division,
    arithmetic_fused,
    arithmetic_integer,
    arithmetic_power,
    bitwise,
    calculus,
    cast,
    cast_complex,
    compare,
    conv,
    create,
    create_fill,
    create_random,
    create_range,
    distance,
    dropout,
    embedding,
    histogram,
    index,
    index_dim,
    index_gather,
    index_mask,
    join,
    linalg_families,
    matmul,
    matmul_einsum,
    nn_families,
    norm,
    norm_rows,
    operators,
    pad,
    pointwise,
    pointwise_bessel,
    pointwise_bounds,
    pointwise_gamma,
    pointwise_round,
    pointwise_special,
    pointwise_trig,
    pool,
    pool_adaptive,
    pool_average,
    quantile,
    reduce,
    reduce_extreme,
    reduce_norm,
    reduce_spread,
    scan,
    shape,
    shape_region,
    shape_repeat,
    softmax,
    sort,
    sort_unique,
    tensor_families,
)
from disttorch.tensor import Tensor

MODULES = (
    *(arithmetic, arithmetic_division, arithmetic_fused, arithmetic_integer, arithmetic_power),
    *(bitwise, calculus, compare, histogram, pointwise_bessel, pointwise_gamma, quantile),
    *(pointwise, pointwise_bounds, pointwise_round, pointwise_special, pointwise_trig),
    *(
        activation,
        activation_random,
        activation_smooth,
        reduce,
        reduce_extreme,
        reduce_norm,
        reduce_spread,
        scan,
    ),
    *(cast, cast_complex, create, create_fill, create_random, create_range),
    *(index, index_dim, index_gather, index_mask, join, matmul, matmul_einsum),
    *(shape, shape_region, shape_repeat, sort, sort_unique),
    *tensor_families.MODULES,
    *(conv, distance, dropout, embedding, norm, norm_rows),
    *linalg_families.MODULES,
    *(pad, pool, pool_adaptive, pool_average, softmax),
    *nn_families.MODULES,
)

MARKED: dict[str, Callable[..., Any]] = {
    name: getattr(module, name) for module in MODULES for name in module.__all__
}
PUBLIC = {name: f for name, f in MARKED.items() if f.__public__.function}  # type: ignore[attr-defined]
_INPLACE = {
    f"{name}_": operators.inplace_form(f)
    for name, f in MARKED.items()
    if f.__public__.inplace  # type: ignore[attr-defined]
}
METHODS = {
    **{name: f for name, f in MARKED.items() if f.__public__.method},  # type: ignore[attr-defined]
    **_INPLACE,
    **{name: property(f) for name, f in MARKED.items() if f.__public__.attribute},  # type: ignore[attr-defined]
    **operators.OPERATORS,
    **tensor_families.METHODS,
}
PUBLIC |= {name: METHODS[name] for name in tensor_families.INPLACE_FUNCTIONS if name in METHODS}
PUBLIC |= {"detach": Tensor.detach, "detach_": Tensor.detach_}
_QUICK_MODULES = (activation, arithmetic, matmul, pointwise, pointwise_trig)
_QUICK = frozenset(name for module in _QUICK_MODULES for name in module.__all__)
PUBLIC = arguments.checked(PUBLIC, _QUICK)
_STRICT = [name + end for name in arguments.PAIRS for end in ("", "_") if name + end in METHODS]
METHODS |= {name: arguments.strict(METHODS[name], method=True) for name in _STRICT}
# The formulas' namespace on Tensors: the same names as on raw arrays, from the public operators.
RECORDED.fill({name: MARKED[name] for name in FUNCTION_NAMES if name in MARKED})
RECORDED.fill({"cast_like": cast.cast_array_dtype})
