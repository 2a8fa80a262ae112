"""How tensors are printed: PyTorch's text to the character, and `set_printoptions`.

Works on arrays and plain facts about the tensor. Arrays of other devices are cut down to the
elements that are shown before they are copied to the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from disttorch.dtype import dtype, float64, from_numpy_dtype, get_default_dtype

if TYPE_CHECKING:
    from disttorch.tensor import Tensor

Array = Any


@dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_OPTIONS = _Options()
_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print; None leaves an option as it is, but returns `sci_mode` to automatic.

    `precision`: digits after the point; `threshold`: elements from which on only `edgeitems` at
    each end of a dimension are shown; `linewidth`: characters a line; `profile`: "default",
    "short" or "full"; `sci_mode`: scientific notation always (True) or never (False).
    """
    given: dict[str, Any] = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    chosen = _PROFILES.get(profile or "", {}) | {k: v for k, v in given.items() if v is not None}
    for name, value in chosen.items():
        setattr(_OPTIONS, name, value)
    _OPTIONS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """Return the print options as keyword arguments of `set_printoptions`."""
    return asdict(_OPTIONS)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Change print options within a block; takes the arguments of `set_printoptions`."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


class _NumberFormat:
    """One notation and one width for all the numbers (host array, any shape) of a tensor."""

    width: int = 1

    def __init__(self, numbers: np.ndarray, kind: dtype) -> None:
        self._write: Callable[[Any], str] = str
        if not kind.is_floating_point:
            self.width = max([1, *(len(str(v)) for v in numbers.reshape(-1).tolist())])
            return
        doubles = numbers.reshape(-1).astype(np.float64)
        shown = doubles[np.isfinite(doubles) & (doubles != 0)]
        self._write = _write_whole
        if shown.size:
            self._choose(shown)

    def _choose(self, shown: np.ndarray) -> None:
        """Choose the notation by the finite numbers other than zero (n,), and measure it."""
        precision, whole = _OPTIONS.precision, bool((shown == np.ceil(shown)).all())
        if _is_wide_spread(np.abs(shown)) if _OPTIONS.sci_mode is None else _OPTIONS.sci_mode:
            self._write = f"{{:.{precision}e}}".format
        elif not whole:
            self._write = f"{{:.{precision}f}}".format
        self.width = max(len(self._write(v)) for v in shown.tolist())

    def __call__(self, value: Any) -> str:
        return self._write(value).rjust(self.width)


def _is_wide_spread(magnitudes: np.ndarray) -> bool:
    """Whether magnitudes (n,), all above zero, are better shown in scientific notation."""
    largest, smallest = float(magnitudes.max()), float(magnitudes.min())
    return largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4


def _write_whole(value: float) -> str:
    """Write a float without fraction; the point tells it from an integer."""
    return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"


def _element_writer(shown: np.ndarray, kind: dtype) -> tuple[Callable[[Any], str], int]:
    """Function that writes one element, and the width it writes (imaginary parts vary)."""
    if not kind.is_complex:
        write = _NumberFormat(shown, kind)
        return write, write.width
    part = kind.to_real()
    real, imag = _NumberFormat(shown.real, part), _NumberFormat(shown.imag, part)

    def write_complex(value: complex) -> str:
        imaginary = imag(value.imag).lstrip() + "j"
        sign = "" if imaginary[0] in "+-" else "+"
        return real(value.real) + sign + imaginary

    return write_complex, real.width + imag.width + 1


def _ends(array: Array) -> Array:
    """Keep only the first and the last `edgeitems` along each dimension longer than both."""
    n = _OPTIONS.edgeitems
    both = [*range(n), *range(-n, 0)]
    for dim, length in enumerate(array.shape):
        if length > 2 * n:
            array = array[(slice(None),) * dim + (both,)]
    return array


class _Layout:
    """Lines up the written elements of one tensor in nested brackets.

    `shape` is the tensor's own; the lists given to `nest` lack the middle of summarised dimensions.
    """

    def __init__(
        self, shape: Sequence[int], summarize: bool, write: Callable[[Any], str], width: int
    ) -> None:
        self._cut = [summarize and length > 2 * _OPTIONS.edgeitems for length in shape]
        self._write, self._width = write, width

    def nest(self, values: Any, indent: int, dim: int = 0) -> str:
        """Write the values from dimension `dim` inwards, `indent` columns from the left."""
        n_left = len(self._cut) - dim
        if n_left == 0:
            return self._write(values)
        if n_left == 1:
            return self._row(values, indent, self._cut[dim])
        parts = [self.nest(v, indent + 1, dim + 1) for v in values]
        if self._cut[dim]:
            parts.insert(_OPTIONS.edgeitems, "...")
        between = "," + "\n" * (n_left - 1) + " " * (indent + 1)
        return "[" + between.join(parts) + "]"

    def _row(self, values: list[Any], indent: int, cut: bool) -> str:
        parts = [self._write(v) for v in values]
        if cut:
            parts.insert(_OPTIONS.edgeitems, " ...")
        per_line = max(1, (_OPTIONS.linewidth - indent) // (self._width + 2))
        lines = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _values_text(array: Array, to_host: Callable[[Array], np.ndarray], indent: int) -> str:
    """Write the values of a non-empty array."""
    kind = from_numpy_dtype(array.dtype)
    summarize = array.size > _OPTIONS.threshold
    if summarize and not _OPTIONS.edgeitems:
        return "[...]"
    shown = to_host(_ends(array) if summarize else array)
    write, width = _element_writer(shown, kind)
    values = (shown.astype(np.float64) if kind.is_floating_point else shown).tolist()
    return _Layout(array.shape, summarize, write, width).nest(values, indent)


def _has_implied_dtype(kind: dtype) -> bool:
    """Whether a printed value alone tells its dtype."""
    default = get_default_dtype()
    default_complex = "complex128" if default is float64 else "complex64"
    return kind is default or kind.name in (default_complex, "int64", "bool")


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """Append ``, suffix`` for each, on a new line where the line would be too long, and ``)``."""
    line_length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if line_length + len(suffix) + 2 > _OPTIONS.linewidth:
            text += ",\n" + " " * indent + suffix
            line_length = indent + len(suffix)
        else:
            text += ", " + suffix
            line_length += len(suffix) + 2
    return text + ")"


def tensor_text(
    array: Array,
    *,
    device: str = "cpu",
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
    name: str = "tensor",
    to_host: Callable[[Array], np.ndarray] = np.asarray,
) -> str:
    """Return the text of a tensor that holds `array` (any shape, dtype and device).

    `name` stands before the bracket and `to_host` copies an array of the tensor's device to the
    host; on the device "meta" there are no values to show.
    """
    kind = from_numpy_dtype(array.dtype)
    suffixes = [] if device == "cpu" else [f"device='{device}'"]
    size, named_dtype = f"size={tuple(array.shape)}", f"dtype={kind}"
    indent = len(name) + 1
    if device == "meta" or array.size == 0:
        text = "..." if device == "meta" else "[]"
        if device == "meta" or array.ndim != 1:
            suffixes.append(size)
        if kind is not get_default_dtype():
            suffixes.append(named_dtype)
    else:
        text = _values_text(array, to_host, indent)
        if not _OPTIONS.edgeitems:
            suffixes.append(size)
        if not _has_implied_dtype(kind):
            suffixes.append(named_dtype)
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(f"{name}({text}", suffixes, indent)


def tensor_repr(tensor: Tensor) -> str:
    """Return the text of a Tensor; subclasses other than Parameter print their own name."""
    class_name, grad_fn = type(tensor).__name__, tensor.grad_fn
    return tensor_text(
        tensor._array,
        device=str(tensor.device),
        requires_grad=tensor.requires_grad,
        grad_fn_name=None if grad_fn is None else grad_fn.name().rpartition("::")[2],
        name="tensor" if class_name in ("Tensor", "Parameter") else class_name,
        to_host=tensor.backend.to_host,
    )
