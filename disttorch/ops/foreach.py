"""`_foreach_*`: an operator over lists of tensors, in one call.

Users' optimisers call them for speed on other devices; here each is a loop over the public
operator. Lists are of equal length; numbers may stand for a list of themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from disttorch.ops import METHODS, PUBLIC
from disttorch.tensor import Tensor

Function = Callable[..., Any]
Tensors = Sequence[Tensor]

UNARY = (
    *("abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1"),
    *("floor", "frac", "lgamma", "log", "log10", "log1p", "log2", "neg", "reciprocal", "round"),
    *("rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trunc"),
)
# Name -> the operator of two operands.
BINARY = {
    **{name: name for name in ("add", "sub", "mul", "div", "pow")},
    **{"clamp_max": "clamp_max", "clamp_min": "clamp_min"},
    **{"maximum": "clamp_min", "minimum": "clamp_max"},
}
TERNARY = ("addcdiv", "addcmul")


def _column(operand: Any, n: int) -> Sequence[Any]:
    """One operand for each tensor: the list given (RuntimeError for another length), or copies."""
    if isinstance(operand, (list, tuple)):
        if len(operand) != n:
            raise RuntimeError(
                f"Tensor lists must have the same number of tensors, got {n} and {len(operand)}"
            )
        return operand
    if isinstance(operand, Tensor) and operand.ndim == 1 and len(operand) == n:
        return operand.tolist()
    return [operand] * n


def _over(function: Function, name: str, n_operands: int) -> Function:
    """Apply `function` to corresponding elements of the first `n_operands` arguments."""

    def each(self: Any, *operands: Any, **keywords: Any) -> tuple[Any, ...]:
        first = next((x for x in (self, *operands) if isinstance(x, (list, tuple))), None)
        if first is None:
            given = ", ".join(type(x).__name__ for x in (self, *operands))
            raise TypeError(
                f"_foreach_{name}() received an invalid combination of arguments - got ({given})"
            )
        if not first:
            raise RuntimeError("Tensor list must have at least one tensor.")
        columns = [_column(x, len(first)) for x in (self, *operands[: n_operands - 1])]
        rest = operands[n_operands - 1 :]
        rows = zip(*columns, strict=True)
        return tuple([function(*row, *rest, **keywords) for row in rows])

    return each


def _in_place(each: Function) -> Function:
    def write(self: Tensors, *operands: Any, **keywords: Any) -> Tensors:
        each(self, *operands, **keywords)
        return self

    return write


def _with_values(function: Function) -> Function:
    """`addcmul` and `addcdiv` take their factors as a fourth operand, a number or one for each."""

    def call(input: Tensor, a: Tensor, b: Tensor, value: Any = 1) -> Any:
        factor = value.item() if isinstance(value, Tensor) else value
        return function(input, a, b, value=factor)

    return call


def _named(function: Function, name: str, doc: str) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _family(functions: dict[str, Function], methods: dict[str, Function]) -> dict[str, Function]:
    """Make all `_foreach_*` functions from public functions and Tensor's methods."""
    made: dict[str, Function] = {}

    def add(name: str, plain: Function | None, write: Function | None, n_operands: int) -> None:
        doc = f"Apply `{name}` to each tensor of a list (operands may be lists too)"
        full = f"_foreach_{name}"
        if plain is not None:
            made[full] = _named(_over(plain, name, n_operands), full, f"{doc}; a tuple.")
        if write is not None:
            each = _in_place(_over(write, name, n_operands))
            made[full + "_"] = _named(each, full + "_", f"{doc}, in place; the list.")

    for name in UNARY:
        add(name, functions[name], methods[f"{name}_"], 1)
    for name, operator in BINARY.items():
        add(name, functions[operator], methods[f"{operator}_"], 2)
    add("lerp", functions["lerp"], methods["lerp_"], 3)
    for name in TERNARY:
        add(name, _with_values(functions[name]), _with_values(methods[f"{name}_"]), 4)
    for name in ("clone", "max", "norm"):
        add(name, functions[name], None, 1)
    add("mm", functions["mm"], None, 2)
    add("powsum", _power_sum(functions), None, 1)
    add("copy", None, methods["copy_"], 2)
    add("zero", None, methods["zero_"], 1)
    return made


def _power_sum(functions: dict[str, Function]) -> Function:
    def powsum(input: Tensor, ord: float = 2, *, dtype: Any = None) -> Tensor:
        total: Tensor = functions["sum"](
            functions["pow"](functions["abs"](input), ord), dtype=dtype
        )
        return total

    return powsum


FUNCTIONS = _family(PUBLIC, METHODS)

__all__ = ["FUNCTIONS"]
