"""Operators, one family a file: class with forward and backward, then the public function.

`MODULES` is the table of families. `PUBLIC` maps the names of functions marked `@public` to them,
`METHODS` the names that become methods of Tensor, in-place variants included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.inplace import inplace_variant
from disttorch.autograd.recorded import RECORDED
from disttorch.backends.raw import FUNCTION_NAMES
from disttorch.ops import (
    activation,
    activation_smooth,
    arithmetic,
    arithmetic_division,
    arithmetic_fused,
    bitwise,
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
    index,
    index_dim,
    index_gather,
    index_mask,
    join,
    matmul,
    matmul_einsum,
    nn_families,
    norm,
    norm_rows,
    operators,
    pad,
    pointwise,
    pointwise_bounds,
    pointwise_round,
    pointwise_special,
    pointwise_trig,
    pool,
    pool_adaptive,
    pool_average,
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
)

MODULES = (
    *(arithmetic, arithmetic_division, arithmetic_fused, bitwise, compare),
    *(pointwise, pointwise_bounds, pointwise_round, pointwise_special, pointwise_trig),
    *(activation, activation_smooth, reduce, reduce_extreme, reduce_norm, reduce_spread, scan),
    *(cast, cast_complex, create, create_fill, create_random, create_range),
    *(index, index_dim, index_gather, index_mask, join, matmul, matmul_einsum),
    *(shape, shape_region, shape_repeat, sort, sort_unique),
    *(conv, distance, dropout, embedding, norm, norm_rows),
    *(pad, pool, pool_adaptive, pool_average, softmax),
    *nn_families.MODULES,
)

MARKED: dict[str, Callable[..., Any]] = {
    name: getattr(module, name) for module in MODULES for name in module.__all__
}
PUBLIC = {name: f for name, f in MARKED.items() if f.__public__.function}  # type: ignore[attr-defined]
_INPLACE = {
    f"{name}_": inplace_variant(f)
    for name, f in MARKED.items()
    if f.__public__.inplace  # type: ignore[attr-defined]
}
METHODS = {
    **{name: f for name, f in MARKED.items() if f.__public__.method},  # type: ignore[attr-defined]
    **_INPLACE,
    **{name: property(f) for name, f in MARKED.items() if f.__public__.attribute},  # type: ignore[attr-defined]
    **operators.OPERATORS,
}
# The formulas' namespace on Tensors: the same names as on raw arrays, from the public operators.
RECORDED.fill({name: MARKED[name] for name in FUNCTION_NAMES if name in MARKED})
RECORDED.fill({"cast_like": cast.cast_array_dtype})
