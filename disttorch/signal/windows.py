"""Window functions: weights of M samples that fade a piece of a signal in and out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from disttorch.backends import backend_for
from disttorch.device import chosen_device
from disttorch.dtype import dtype as Dtype
from disttorch.dtype import get_default_dtype
from disttorch.layout import strided
from disttorch.ops.create_fill import finish
from disttorch.ops.fft_window import cosines, triangle
from disttorch.ops.fft_window import kaiser as kaiser_weights
from disttorch.tensor import Tensor

__all__ = ["bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine"]
__all__ += ["general_hamming", "hamming", "hann", "kaiser", "nuttall"]

Array = Any
Weights = Callable[[Any, Array, int], Array]  # (xp, positions, last position of a period)


def _window(name: str, M: int, weights: Weights, sym: bool, options: dict[str, Any]) -> Tensor:
    """Check the common arguments and compute; one sample has weight 1."""
    kind = options["dtype"] or get_default_dtype()
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if options["layout"] is not strided:
        raise ValueError(
            f"{name} is implemented for strided tensors only, got: {options['layout']}"
        )
    if kind.name not in ("float32", "float64"):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {kind}")
    xp = backend_for(chosen_device(options["device"])).xp
    if M <= 1:
        array = xp.ones(M)
    else:
        array = weights(xp, xp.arange(M, dtype="float64"), M - 1 if sym else M)
    return finish(array.astype(kind.np), name, None, options["requires_grad"])


def _fixed(name: str, doc: str, weights: Weights, shown: str = "general_cosine") -> Any:
    """A window without parameters of its own; `shown` is its name in errors."""

    def function(
        M: int,
        *,
        sym: bool = True,
        dtype: Dtype | None = None,
        layout: Any = strided,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        return _window(shown, M, weights, sym, _options(dtype, layout, device, requires_grad))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{doc}, (M,); `sym`: symmetric, for filters, else periodic, for spectra.\n\n"
        "Raises ValueError for negative M and for dtypes other than float32 and float64."
    )
    return function


def _options(dtype: Any, layout: Any, device: Any, requires_grad: bool) -> dict[str, Any]:
    return {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}


bartlett = _fixed("bartlett", "Triangle", triangle, "bartlett")
blackman = _fixed(
    "blackman", "Blackman window", lambda xp, k, n: cosines(xp, k, n, 0.42, 0.5, 0.08), "blackman"
)
cosine = _fixed(
    "cosine", "Half a sine", lambda xp, k, n: xp.sin(xp.pi * (k + 0.5) / (n + 1)), "cosine"
)
hamming = _fixed("hamming", "Hamming window", lambda xp, k, n: cosines(xp, k, n, 0.54, 0.46))
hann = _fixed("hann", "Hann window", lambda xp, k, n: cosines(xp, k, n, 0.5, 0.5))
nuttall = _fixed(
    "nuttall",
    "Nuttall's window with four terms",
    lambda xp, k, n: cosines(xp, k, n, 0.3635819, 0.4891775, 0.1365995, 0.0106411),
)


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: Dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``exp(-|k - center| / tau)``, (M,); the centre can only be chosen if not `sym`.

    Raises ValueError for tau <= 0.
    """
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def weights(xp: Any, k: Array, n: int) -> Array:
        return xp.exp(-xp.abs(k - (n / 2 if center is None else center)) / tau)

    options = _options(dtype, layout, device, requires_grad)
    return _window("exponential", M, weights, sym, options)


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: Dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Bell curve of standard deviation `std` samples, (M,); ValueError for std <= 0."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")

    def weights(xp: Any, k: Array, n: int) -> Array:
        return xp.exp(-0.5 * ((k - n / 2) / std) ** 2)

    return _window("gaussian", M, weights, sym, _options(dtype, layout, device, requires_grad))


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: Dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Kaiser window of shape `beta`, (M,); ValueError for a negative one."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")

    def weights(xp: Any, k: Array, n: int) -> Array:
        return kaiser_weights(xp, k, n, beta)

    return _window("kaiser", M, weights, sym, _options(dtype, layout, device, requires_grad))


def general_cosine(
    M: int,
    *,
    a: Sequence[float],
    sym: bool = True,
    dtype: Dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Sum of cosines with alternating signs and the weights `a`, (M,).

    Raises TypeError unless `a` is a list or tuple, ValueError if it is empty.
    """
    if not isinstance(a, (list, tuple)):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")

    def weights(xp: Any, k: Array, n: int) -> Array:
        return cosines(xp, k, n, *a) * xp.ones(k.shape)

    options = _options(dtype, layout, device, requires_grad)
    return _window("general_cosine", M, weights, sym, options)


def general_hamming(
    M: int,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype: Dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``alpha - (1 - alpha) cos(2 pi k / N)``, (M,)."""
    return general_cosine(
        M,
        a=[alpha, 1.0 - alpha],
        sym=sym,
        dtype=dtype,
        layout=layout,
        device=device,
        requires_grad=requires_grad,
    )
