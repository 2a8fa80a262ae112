"""Short-time Fourier transforms: spectra of overlapping pieces of a signal, and back."""

from __future__ import annotations

import warnings
from typing import Any

from disttorch.autograd.op import public
from disttorch.ops.cast_complex import view_as_real
from disttorch.ops.fft import Fourier, RealFourier, RealFourierInverse
from disttorch.ops.join import cat
from disttorch.ops.pad import Pad, indexed_pad
from disttorch.ops.shape_region import Overlap, Unfold
from disttorch.tensor import Tensor

__all__ = ["istft", "stft"]

_CPP_TENSORS = {
    **{"float32": "FloatTensor", "float64": "DoubleTensor", "int64": "LongTensor"},
    **{"complex64": "ComplexFloatTensor", "complex128": "ComplexDoubleTensor"},
    **{"int32": "IntTensor", "bool": "BoolTensor", "uint8": "ByteTensor"},
}


def _described(x: Tensor) -> str:
    return f"torch.{_CPP_TENSORS.get(x.dtype.name, 'Tensor')}"


def _flag(value: Any) -> str:
    return "None" if value is None else str(int(value))


def _padded(x: Tensor, amount: int, mode: str) -> Tensor:
    """`amount` elements more at both ends of the last dimension."""
    n, lead = x._array.shape[-1], x.ndim - 1
    if mode == "constant":
        return Pad.apply(x, pads=(*((0, 0),) * lead, (amount, amount)), value=0)
    if mode != "reflect" or amount >= n:
        wide = x.reshape((*(1,) * (2 - lead), *x._array.shape))
        pads = (*((0, 0),) * (wide.ndim - 1), (amount, amount))
        return indexed_pad(wide, pads, mode).reshape((*x._array.shape[:-1], -1))
    if not amount:
        return x
    before, after = x[..., 1 : amount + 1], x[..., n - amount - 1 : n - 1]
    return cat([before.flip(-1), x, after.flip(-1)], -1)


def _full_window(window: Tensor | None, like: Tensor, win_length: int, n_fft: int) -> Any:
    """The window with zeros around it up to n_fft; None where it is all ones."""
    if window is None:
        if win_length == n_fft:
            return None
        ones = like.backend.xp.ones(win_length, like._array.real.dtype)
        window = Tensor._wrap(ones)
    left = (n_fft - win_length) // 2
    if win_length == n_fft:
        return window
    return Pad.apply(window, pads=((left, n_fft - win_length - left),), value=0)


def _check_stft(x: Tensor, window: Tensor | None, sizes: tuple[int, int, int], flags: str) -> None:
    """Raise PyTorch's error for an input, sizes or a window that do not fit."""
    n_fft, hop_length, win_length = sizes
    shown = "None" if window is None else f"{_described(window)}{{{list(window.shape)}}}"
    call = (
        f"stft({_described(x)}{list(x.shape)}, n_fft={n_fft}, hop_length={hop_length}, "
        f"win_length={win_length}, window={shown}, {flags}) : "
    )
    n = x._array.shape[-1] if x.ndim else 0
    if x._array.dtype.kind not in "fc":
        raise RuntimeError(f"{call}expected a tensor of floating point or complex values")
    if x.ndim not in (1, 2):
        raise RuntimeError(f"{call}expected a 1D or 2D tensor")
    if not 0 < n_fft <= n:
        raise RuntimeError(f"{call}expected 0 < n_fft < {n}, but got n_fft={n_fft}")
    if hop_length <= 0:
        raise RuntimeError(f"{call}expected hop_length > 0, but got hop_length={hop_length}")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(
            f"{call}expected 0 < win_length <= n_fft, but got win_length={win_length}"
        )
    if window is not None and tuple(window.shape) != (win_length,):
        raise RuntimeError(
            f"{call}expected a 1D window tensor of size equal to win_length={win_length}, but got "
            f"window with size {list(window.shape)}"
        )


def _one_sided(x: Tensor, window: Tensor | None, wanted: bool | None) -> bool:
    is_complex = x.dtype.is_complex or (window is not None and window.dtype.is_complex)
    if is_complex and wanted:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    return not is_complex if wanted is None else wanted


@public(method=True)
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """Spectra of pieces of a signal: (n,) or (batch, n) -> (*, frequencies, frames), complex.

    A piece has `n_fft` samples, weighted with the `window` of `win_length` in its middle, and the
    next one starts `hop_length` (a quarter of `n_fft`) later. `center` pads the signal so that
    frame t is centred at sample ``t * hop_length``. Raises RuntimeError for sizes that do not fit.
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    as_complex = _as_complex(input, window, return_complex)
    if align_to_window is not None and center:
        raise RuntimeError("stft only supports align_to_window for center = False.")
    x = input
    if center and input.ndim and input._array.dtype.kind in "fc":
        x = _padded(input, n_fft // 2, pad_mode)
    flags = (
        f"normalized={int(normalized)}, onesided={_flag(onesided)}, "
        f"return_complex={_flag(return_complex)}, align_to_window={_flag(align_to_window)}"
    )
    _check_stft(x, window, (n_fft, hop, length), flags)
    half = _one_sided(x, window, onesided)
    weights = _full_window(window, x, length, n_fft)
    frames = Unfold.apply(x, dim=x.ndim - 1, size=n_fft, step=hop)
    if weights is not None:
        frames = frames * weights
    norm, last = ("ortho" if normalized else "backward"), frames.ndim - 1
    if half:
        spectra = RealFourier.apply(frames, dim=last, norm=norm)
    else:
        spectra = Fourier.apply(frames, dims=(last,), norm=norm, inverse=False)
    spectra = spectra.transpose(-2, -1)
    return spectra if as_complex else view_as_real(spectra)


def _as_complex(x: Tensor, window: Tensor | None, wanted: bool | None) -> bool:
    """Whether the result is complex; for real inputs that has to be said."""
    if wanted is not None:
        return wanted
    if not (x.dtype.is_complex or (window is not None and window.dtype.is_complex)):
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs, and will further "
            "require that return_complex=True in a future PyTorch release."
        )
    return True


def _check_istft(
    x: Tensor, window: Tensor | None, sizes: tuple[int, int, int], half: bool, call: str
) -> None:
    """Raise PyTorch's error for spectra, sizes or a window that do not fit."""
    n_fft, hop_length, win_length = sizes
    if not x.numel():
        raise RuntimeError(f"{call} : input tensor cannot be empty.")
    if x.ndim not in (2, 3):
        raise RuntimeError(f"{call} : expected a tensor with 2 or 3 dimensions, but got {x.ndim}")
    n = x._array.shape[-2]
    if half and n != n_fft // 2 + 1:
        raise RuntimeError(
            f"{call} : expected the frequency dimension (3rd to the last) of the input tensor to "
            f"match n_fft / 2 + 1 when onesided=True, but got {n}"
        )
    if not half and n != n_fft:
        raise RuntimeError(
            f"{call} : expected the frequency dimension (3rd to the last) of the input tensor to "
            f"match n_fft when onesided=False, but got {n}"
        )
    if not 0 < hop_length <= win_length:
        raise RuntimeError(f"{call} : expected 0 < hop_length <= win_length")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(f"{call} : expected 0 < win_length <= n_fft")
    if window is not None and tuple(window.shape) != (win_length,):
        raise RuntimeError(
            f"{call} : Invalid window shape. window has to be 1D and length of `win_length`"
        )


@public(method=True)
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """Signal (n,) or (batch, n) from its spectra (*, frequencies, frames): undoes `stft`.

    The least-squares estimate: weighted pieces are added up and divided by the sum of the squared
    windows. Raises RuntimeError where that sum vanishes and for sizes that do not fit.
    """
    if not input.dtype.is_complex:
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    span = n_fft if win_length is None else win_length
    half = input._array.shape[-2] != n_fft if onesided is None and input.ndim > 1 else onesided
    if return_complex and half:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    kind = "ComplexFloatType" if input.dtype.name == "complex64" else "ComplexDoubleType"
    shown = "None" if window is None else f"{_described(window)}{{{list(window.shape)}}}"
    call = (
        f"istft(CPU{kind}{list(input.shape)}, n_fft={n_fft}, hop_length={hop}, win_length={span}, "
        f"window={shown}, center={int(center)}, normalized={int(normalized)}, "
        f"onesided={_flag(onesided)}, length={'None' if length is None else length}, "
        f"return_complex={int(return_complex)})"
    )
    _check_istft(input, window, (n_fft, hop, span), bool(half), call)
    weights = _full_window(window, input, span, n_fft)
    frames = _frames(input.transpose(-2, -1), n_fft, normalized, bool(half), return_complex)
    signal = _added_up(frames, weights, hop, call, n_fft // 2 if center else 0, length)
    return signal


def _frames(x: Tensor, n_fft: int, normalized: bool, half: bool, as_complex: bool) -> Tensor:
    """The pieces (*, frames, n_fft) of their spectra."""
    norm, last = ("ortho" if normalized else "backward"), x.ndim - 1
    if as_complex:
        return Fourier.apply(x, dims=(last,), norm=norm, inverse=True)
    x = x if half else x[..., : n_fft // 2 + 1]
    return RealFourierInverse.apply(x, n=n_fft, dim=last, norm=norm)


def _added_up(
    frames: Tensor, weights: Any, hop: int, call: str, start: int, length: int | None
) -> Tensor:
    """Overlap the pieces, divide by what the windows add up to, and cut the signal out."""
    n_frames, n_fft = frames._array.shape[-2:]
    total = n_fft + hop * (n_frames - 1)
    if weights is not None:
        frames = frames * weights
        square = weights * weights
    else:
        square = Tensor._wrap(frames.backend.xp.ones(n_fft, frames._array.real.dtype))
    shape = (*frames._array.shape[:-2], total)
    y = Overlap.apply(frames, shape=shape, dim=len(shape) - 1, step=hop)
    envelope = Overlap.apply(square.expand(n_frames, n_fft), shape=(total,), dim=0, step=hop)
    end = total - start if length is None else start + length
    stop = min(end, total)
    y, envelope = y[..., start:stop], envelope[start:stop]
    if bool((abs(envelope._array) < 1e-11).any()):
        raise RuntimeError(f"{call} window overlap add min: 1\n[ CPUBoolType{{}} ]")
    y = y / envelope
    if length is None or end <= total:
        return y
    warnings.warn(
        "The length of signal is shorter than the length parameter. Result is being padded with "
        "zeros in the tail. Please check your center and hop_length settings.",
        UserWarning,
        stacklevel=4,
    )
    pads = (*((0, 0),) * (y.ndim - 1), (0, end - total))
    return Pad.apply(y, pads=pads, value=0)
