"""Window functions: weights that fade a piece of a signal in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.op import public
from disttorch.backends import backend_for
from disttorch.device import chosen_device
from disttorch.dtype import as_dtype, get_default_dtype
from disttorch.dtype import dtype as Dtype
from disttorch.ops.create_fill import finish
from disttorch.tensor import Tensor

__all__ = [
    *("bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"),
]

Array = Any
Shape = Callable[..., Array]  # (xp, positions, length, *options) -> weights


def _points(name: str, length: int, periodic: bool, dtype: Any, device: Any) -> tuple[Any, ...]:
    """What every window starts from: array library, positions, length - 1, dtype."""
    kind = as_dtype(dtype) or get_default_dtype()
    if not (kind.is_floating_point or kind.is_complex):
        raise RuntimeError(
            f"{name} expects floating point dtypes, got: TensorOptions(dtype={_CPP[kind.name]}, "
            "device=cpu, layout=Strided (default), requires_grad=false (default), "
            "pinned_memory=false, memory_format=(nullopt))"
        )
    if kind.is_complex:
        raise RuntimeError(f"{name}: window_length is not supported for complex dtypes")
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    backend = backend_for(chosen_device(device))
    n = length + 1 if periodic and length > 1 else length
    # Computed in double precision: the result is then good to the last place of any dtype.
    return backend.xp, backend.xp.arange(n, dtype="float64"), max(n - 1, 1), kind


_CPP = {
    **{"uint8": "unsigned char", "int8": "signed char", "int16": "short int", "int32": "int"},
    **{"int64": "long int", "bool": "bool"},
}


def _window(name: str, weights: Shape, doc: str) -> Callable[..., Tensor]:
    def function(
        window_length: int,
        periodic: bool = True,
        *,
        out: Tensor | None = None,
        dtype: Dtype | None = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
    ) -> Tensor:
        return _made(name, weights, (), window_length, periodic, out, dtype, device, requires_grad)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{doc} window of `window_length` weights; `periodic`: as a period, else symmetric."
    )
    return public()(function)


def _made(
    name: str,
    weights: Shape,
    options: tuple[float, ...],
    length: int,
    periodic: bool,
    out: Tensor | None,
    dtype: Dtype | None,
    device: Any,
    requires_grad: bool,
) -> Tensor:
    """Compute a window of any shape; one of length 1 is 1."""
    xp, k, last, kind = _points(name, length, periodic, dtype, device)
    array = weights(xp, k, last, *options) if length > 1 else xp.ones(length)
    return finish(array[:length].astype(kind.np), name, out, requires_grad)


def cosines(xp: Any, k: Array, last: int, *terms: float) -> Array:
    """Sum of ``(-1)^i terms[i] cos(2 pi i k / last)``."""
    return sum((-1) ** i * a * xp.cos(2 * xp.pi * i * k / last) for i, a in enumerate(terms))


def triangle(xp: Any, k: Array, last: int) -> Array:
    return 1 - xp.abs(2 * k / last - 1)


def kaiser(xp: Any, k: Array, last: int, beta: float) -> Array:
    inside = xp.sqrt(xp.maximum(1 - (2 * k / last - 1) ** 2, 0))
    return xp.i0(beta * inside) / xp.i0(xp.asarray([beta], "float64"))


hann_window = _window("hann_window", lambda xp, k, n: cosines(xp, k, n, 0.5, 0.5), "Hann")
blackman_window = _window(
    "blackman_window", lambda xp, k, n: cosines(xp, k, n, 0.42, 0.5, 0.08), "Blackman"
)
bartlett_window = _window("bartlett_window", triangle, "Triangular")


@public()
def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    out: Tensor | None = None,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """``alpha - beta cos(2 pi k / N)``; `periodic`: N is the length, else the length - 1."""
    options, name = (alpha, beta), "hamming_window"
    return _made(name, cosines, options, window_length, periodic, out, dtype, device, requires_grad)


@public()
def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    out: Tensor | None = None,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """Kaiser window of shape `beta`; `periodic`: as a period, else symmetric."""
    name = "kaiser_window"
    return _made(name, kaiser, (beta,), window_length, periodic, out, dtype, device, requires_grad)
