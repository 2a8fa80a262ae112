"""Frequencies of a transform's elements, and putting the zero frequency into the middle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from disttorch.autograd.op import public
from disttorch.backends import backend_for
from disttorch.device import chosen_device
from disttorch.dtype import as_dtype, get_default_dtype
from disttorch.dtype import dtype as Dtype
from disttorch.ops.create_fill import finish
from disttorch.ops.shape_repeat import roll
from disttorch.tensor import Tensor

__all__ = ["fft_fftfreq", "fft_fftshift", "fft_ifftshift", "fft_rfftfreq"]


def _frequencies(name: str, half: bool) -> Callable[..., Tensor]:
    def function(
        n: int,
        d: float = 1.0,
        *,
        out: Tensor | None = None,
        dtype: Dtype | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        kind = as_dtype(dtype) or (get_default_dtype() if out is None else out.dtype)
        if not (kind.is_floating_point or kind.is_complex):
            raise RuntimeError(f"{name} requires a floating point or complex dtype")
        xp = backend_for(chosen_device(device)).xp
        if half:
            steps = xp.arange(n // 2 + 1)
        else:
            steps = xp.concatenate([xp.arange((n + 1) // 2), xp.arange(-(n // 2), 0)])
        scale = 1.0 / (n * d) if n * d else 0.0
        array = steps.astype(kind.np) * kind.np.type(scale)
        return finish(array.astype(kind.np, copy=False), f"fft_{name}", out, requires_grad)

    function.__name__ = function.__qualname__ = f"fft_{name}"
    which = "non-negative frequencies" if half else "frequencies, in the order of the transform,"
    function.__doc__ = f"The {which} of n samples that are `d` apart, in cycles per unit of `d`."
    published: Callable[..., Tensor] = public(function=False)(function)
    return published


fft_fftfreq = _frequencies("fftfreq", half=False)
fft_rfftfreq = _frequencies("rfftfreq", half=True)


def _shifted(input: Tensor, dim: Sequence[int] | int | None, back: bool) -> Tensor:
    if dim is None:
        dims = list(range(input.ndim))
    else:
        dims = [input._dim(d) for d in ((dim,) if isinstance(dim, int) else dim)]
    if not dims:
        return input.clone()
    lengths = [input._array.shape[d] for d in dims]
    return roll(input, [(n + 1) // 2 if back else n // 2 for n in lengths], dims)


@public(function=False)
def fft_fftshift(input: Tensor, dim: Sequence[int] | int | None = None) -> Tensor:
    """Move the zero frequency of a transform from the start to the middle of `dim` (None: all)."""
    return _shifted(input, dim, back=False)


@public(function=False)
def fft_ifftshift(input: Tensor, dim: Sequence[int] | int | None = None) -> Tensor:
    """Undo `fftshift`."""
    return _shifted(input, dim, back=True)
