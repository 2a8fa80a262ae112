"""What is said of an argument that should be a Tensor and is not, in PyTorch's words.

Operators use their arguments without looking at them, which is what makes them quick. Where that
fails because one is no Tensor, the error is explained afterwards (`explained`). Those that would
take a number where PyTorch refuses it look first (`strict`): their names are in the tables here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from disttorch.ops.out import without_out
from disttorch.tensor import Tensor

Function = Callable[..., Any]

# Both operands must be Tensors.
PAIRS = frozenset(
    (
        *("arctan2", "atan2", "fmax", "fmin", "gcd", "heaviside", "hypot", "igamma", "igammac"),
        *("isclose", "lcm", "ldexp", "logaddexp", "logaddexp2", "logical_and", "logical_or"),
        *("logical_xor", "maximum", "minimum", "nextafter"),
    )
)
# The first must be one; the second may be a number, and PyTorch lists both signatures.
OVERLOADED = frozenset(
    (
        *("eq", "ge", "greater", "greater_equal", "gt", "le", "less", "less_equal", "lt", "ne"),
        *("not_equal", "copysign", "fmod", "clamp_max", "clamp_min", "max", "min"),
    )
)


# The signatures of operators of which one operand may be a number, and of `rsub`, whose second may.
_EITHER = (
    " * (Tensor {0}, Tensor {1}, *, Tensor out = None)",
    " * (Number {2}, Tensor {1}, *, Tensor out = None)",
    " * (Tensor {0}, Number {1}, *, Tensor out = None)",
)
_SUBTRACTED = (
    " * (Tensor input, Tensor other, *, Number alpha = 1)",
    " * (Tensor input, Number other, Number alpha = 1)",
)


def refuse_numbers(function: str, names: Sequence[str], *given: Any) -> None:
    """Raise PyTorch's TypeError unless one of the two operands `given` is a Tensor.

    `names`: those of the operands, and of the first where it is a number.
    """
    if not any(isinstance(x, Tensor) for x in given):
        raise TypeError(no_such_form(function, given, (form.format(*names) for form in _EITHER)))


def refuse_subtracted_number(input: Any, other: Any) -> None:
    """Raise PyTorch's TypeError of `rsub` unless `input` is a Tensor."""
    if not isinstance(input, Tensor):
        raise TypeError(no_such_form("rsub", (input, other), _SUBTRACTED))


def no_such_form(function: str, given: Iterable[Any], forms: Iterable[str]) -> str:
    """PyTorch's text for arguments that fit none of an operator's signatures, the `forms`."""
    kinds = ", ".join(type(x).__name__ for x in given)
    expected = "\n".join(forms)
    return (
        f"{function}() received an invalid combination of arguments - got ({kinds}), but expected "
        f"one of:\n{expected}"
    )


def explained(function: Function) -> Function:
    """Return `function`, raising PyTorch's TypeError where an argument should be a Tensor."""
    plain = without_out(function)

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        try:
            return function(*args, **keywords) if keywords else plain(*args)
        except AttributeError:
            message = wrong_argument(function, args, keywords)
            if message is None:
                raise
        raise TypeError(message)

    return call


def wrong_argument(
    function: Function, args: tuple[Any, ...], keywords: dict[str, Any]
) -> str | None:
    """PyTorch's words for the first argument annotated as a Tensor that is none; None if all are.

    Only ``x: Tensor`` counts, not ``x: Tensor | float``.
    """
    signature = inspect.signature(function)
    given = signature.bind_partial(*args, **keywords).arguments
    for position, (name, parameter) in enumerate(signature.parameters.items(), 1):
        if parameter.annotation != "Tensor" or name not in given:
            continue
        if not isinstance(given[name], Tensor):
            return _must_be_tensor(function.__name__, name, position, given[name])
    return None


def _must_be_tensor(function: str, name: str, position: int, given: Any) -> str:
    kind = type(given).__name__
    return f"{function}(): argument '{name}' (position {position}) must be Tensor, not {kind}"


def strict(function: Function, *, method: bool = False) -> Function:
    """Return `function` of two operands, refusing numbers as PyTorch does (TypeError)."""
    name = function.__name__
    both = name.removesuffix("_") in PAIRS

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        for position, operand in enumerate(args[: 1 + both]):
            if not isinstance(operand, Tensor):
                names = list(inspect.signature(function).parameters)
                if not both:
                    raise TypeError(_overloads(name, names, args))
                place = position + 1 - method
                raise TypeError(_must_be_tensor(name, names[position], place, operand))
        return function(*args, **keywords)

    return call


def _overloads(name: str, names: list[str], args: tuple[Any, ...]) -> str:
    """PyTorch's error for operands that fit none of the signatures (Tensor, Tensor or Number)."""
    forms = (f" * (Tensor {names[0]}, {kind} {names[1]}, *, Tensor out = None)" for kind in _KINDS)
    return no_such_form(name, args, forms)


_KINDS = ("Tensor", "Number")


def checked(functions: Mapping[str, Function], quick: frozenset[str]) -> dict[str, Function]:
    """The public functions with checked or explained arguments; those named `quick` as they are.

    A quick function hands its operands to `Op.apply`, which explains by itself.
    """
    return {name: _checked(name, f, quick) for name, f in functions.items()}


def _checked(name: str, function: Function, quick: frozenset[str]) -> Function:
    if name in PAIRS or name in OVERLOADED:
        return strict(function)
    taken = (kind for given, kind in function.__annotations__.items() if given != "return")
    if name in quick or "Tensor" not in taken:
        return function
    return explained(function)


__all__ = [
    "OVERLOADED",
    "PAIRS",
    "checked",
    "explained",
    "no_such_form",
    "refuse_numbers",
    "refuse_subtracted_number",
    "strict",
    "wrong_argument",
]
