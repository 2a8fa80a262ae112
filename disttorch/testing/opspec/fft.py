"""Rows of `ops/fft*.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.ops import fft_short_time as short_time
from disttorch.ops import fft_window
from disttorch.testing.opspec.shape import NO_0D
from disttorch.testing.opspec.spec import OpSpec, Sample, complexes, floats, sample

Ref = Callable[..., Any]
NO_EMPTY = {**NO_0D, "empty": "has nothing to transform"}


def _one(kind: str, real: bool, n: int) -> OpSpec:
    values = floats if real else complexes
    reference = getattr(np.fft, kind)
    return OpSpec(
        f"fft_{kind}",
        ref=lambda x, n=None, dim=-1, norm=None: reference(x, n, dim, norm),
        samples=(
            sample(values(n)),
            sample(values(2, n + 1)),
            sample(values(3, 2), dim=0, norm="ortho"),
            sample(values(4), 3, norm="forward"),
            sample(values(3), 5),
            sample(values(0, 3)),
        ),
        skip=NO_0D,
    )


def _n_dimensional(kind: str) -> Ref:
    """NumPy has no Hermitian transforms of several dimensions: one after the other."""
    known = getattr(np.fft, f"{kind}n", None)
    if known is not None:
        return lambda x, s=None, dim=None, norm=None: known(
            x, s, tuple(range(x.ndim)) if dim is None else dim, norm
        )

    def transform(x: np.ndarray, s: Any = None, dim: Any = None, norm: Any = None) -> np.ndarray:
        dims = tuple(range(x.ndim)) if dim is None else dim
        sizes = (None,) * len(dims) if s is None else s
        last = getattr(np.fft, kind)
        if kind == "ihfft":
            x = last(x, sizes[-1], dims[-1], norm)
            for n, d in zip(sizes[:-1], dims[:-1], strict=True):
                x = np.fft.ifft(x, n, d, norm)
            return x
        for n, d in zip(sizes[:-1], dims[:-1], strict=True):
            x = np.fft.fft(x, n, d, norm)
        return np.asarray(last(x, sizes[-1], dims[-1], norm))

    return transform


def _several(kind: str, real: bool) -> tuple[OpSpec, ...]:
    values, reference = (floats if real else complexes), _n_dimensional(kind)
    samples: tuple[Sample, ...] = (
        sample(values(3, 2)),
        sample(values(2, 3), s=(3, 4), dim=(0, 1)),
        sample(values(2, 2, 3), dim=(2, 0), norm="ortho"),
        sample(values(0, 2, 3), dim=(1, 2)),
    )
    planar: tuple[Sample, ...] = (sample(values(2, 2, 3)), sample(values(0, 2, 3)))
    return (
        OpSpec(f"fft_{kind}n", ref=reference, samples=samples, skip=NO_0D),
        OpSpec(
            f"fft_{kind}2",
            ref=lambda x, dim=(-2, -1): reference(x, None, dim),
            samples=planar,
            skip=NO_0D,
        ),
    )


KINDS = (("fft", False), ("ifft", False), ("rfft", True), ("irfft", False))
KINDS += (("hfft", False), ("ihfft", True))

TRANSFORMS = tuple(
    spec for kind, real in KINDS for spec in (_one(kind, real, 3), *_several(kind, real))
)


def _shift(name: str) -> Ref:
    function = getattr(np.fft, name)
    return lambda x, dim=None: function(x, dim) if x.ndim else x  # NumPy's fails on 0-d


SHIFTS = tuple(
    OpSpec(
        f"fft_{name}",
        ref=_shift(name),
        samples=(
            *(sample(floats(5)), sample(floats(2, 3)), sample(floats(2, 3), dim=1)),
            *(sample(floats()), sample(floats(2, 0))),
        ),
    )
    for name in ("fftshift", "ifftshift")
)


def _frames(x: np.ndarray, n_fft: int, hop: int, window: Any = None) -> np.ndarray:
    starts = range(0, x.shape[-1] - n_fft + 1, hop)
    pieces = np.stack([x[..., i : i + n_fft] for i in starts], -2)
    return pieces if window is None else pieces * window


def _stft(x: np.ndarray, n_fft: int, hop: int, window: Any = None, center: bool = False) -> Any:
    if center:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2,) * 2], "reflect")
    transform = np.fft.fft if x.dtype.kind == "c" else np.fft.rfft
    return np.swapaxes(transform(_frames(x, n_fft, hop, window)), -1, -2)


SHORT_TIME = (
    OpSpec(
        "stft",
        ref=_stft,
        samples=(
            sample(floats(9), 4, 2),
            sample(floats(2, 9), 4, 1, floats(4)),
            sample(floats(6), 4, 2, center=True),
            sample(complexes(6), 4, 2),
        ),
        op=lambda x, n, hop, window=None, center=False: short_time.stft(
            x, n, hop, window=window, center=center, return_complex=True
        ),
        skip=NO_EMPTY,
    ),
    OpSpec(
        "istft",
        ref=lambda x, n, hop, window: x,
        samples=(
            sample(floats(8), 4, 2, floats(4, low=0.5)),
            sample(floats(2, 8), 4, 1, floats(4, low=0.5)),
        ),
        op=lambda x, n, hop, window: short_time.istft(
            short_time.stft(x, n, hop, window=window, return_complex=True), n, hop, window=window
        ),
        skip=NO_EMPTY,
    ),
)

SPECS = (*TRANSFORMS, *SHIFTS, *SHORT_TIME)

_MADE = "makes a tensor from numbers (tests/ops/test_fft_window.py)"
EXEMPT = {
    **dict.fromkeys(fft_window.__all__, _MADE),
    **dict.fromkeys(("fft_fftfreq", "fft_rfftfreq"), "makes a tensor (tests/ops/test_fft.py)"),
}
