"""Discrete Fourier transforms over one or more dimensions, under the names ``fft_*``.

Three operators do the work: complex to complex over any dimensions, real to half a spectrum and
back over one. Each one's derivative is another of them, with the normalisation on the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.dtype import TYPE_NAMES, get_default_dtype
from disttorch.ops.cast import cast
from disttorch.ops.cast_complex import conj
from disttorch.ops.out import accepts_out
from disttorch.ops.pad import Pad
from disttorch.tensor import Tensor

__all__: list[str] = []

Array = Any
Sizes = tuple[int | None, ...]  # the length to cut or pad each dimension to; None: as it is
_SWAPPED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


class Fourier(Op):
    """Complex transform over `dims`, or its inverse."""

    torch_name = "FftC2CBackward0"

    def forward(ctx, x: Array, dims: tuple[int, ...], norm: str, inverse: bool) -> Array:
        ctx.dims, ctx.norm, ctx.inverse = dims, norm, inverse
        fft = ctx.xp.fft
        if not x.size or not dims:
            return x.astype(_complex_dtype(x))
        if len(dims) == 1:
            return (fft.ifft if inverse else fft.fft)(x, axis=dims[0], norm=norm)
        return (fft.ifftn if inverse else fft.fftn)(x, axes=dims, norm=norm)

    def backward(ctx, g: Any) -> Any:
        norm = _SWAPPED[ctx.norm]
        return ctx.call(Fourier, g, dims=ctx.dims, norm=norm, inverse=not ctx.inverse)


class RealFourier(Op):
    """Transform of a real x over `dim`: the n // 2 + 1 non-negative frequencies."""

    torch_name = "FftR2CBackward0"

    def forward(ctx, x: Array, dim: int, norm: str) -> Array:
        ctx.params = {"n": x.shape[dim], "dim": dim, "norm": _SWAPPED[norm]}
        if not x.size:
            shape = (*x.shape[:dim], x.shape[dim] // 2 + 1, *x.shape[dim + 1 :])
            return ctx.xp.zeros(shape, _complex_dtype(x))
        return ctx.xp.fft.rfft(x, axis=dim, norm=norm)

    def backward(ctx, g: Any) -> Any:
        # The inverse counts each inner frequency twice, for its negative too.
        scale = _inner_frequencies(ctx, ctx.params["n"], ctx.params["dim"], g.ndim, 0.5)
        return ctx.call(RealFourierInverse, g * ctx.constant(scale), **ctx.params)


class RealFourierInverse(Op):
    """Real signal of length n over `dim` from its non-negative frequencies."""

    torch_name = "FftC2RBackward0"

    def forward(ctx, x: Array, n: int, dim: int, norm: str) -> Array:
        ctx.n, ctx.params = n, {"dim": dim, "norm": _SWAPPED[norm]}
        if not x.size:
            return ctx.xp.zeros((*x.shape[:dim], n, *x.shape[dim + 1 :]), x.real.dtype)
        return ctx.xp.fft.irfft(x, n=n, axis=dim, norm=norm)

    def backward(ctx, g: Any) -> Any:
        gx = ctx.call(RealFourier, g, **ctx.params)
        return gx * ctx.constant(_inner_frequencies(ctx, ctx.n, ctx.params["dim"], g.ndim, 2.0))


def _complex_dtype(x: Array) -> str:
    return "complex128" if x.real.dtype.itemsize == 8 else "complex64"


def _inner_frequencies(ctx: Op, n: int, dim: int, ndim: int, factor: float) -> Array:
    """Weights of the frequencies of n real numbers: 1 for those that have no negative."""
    weights = ctx.xp.full(n // 2 + 1, factor, ctx.metas[0][1])
    if weights.dtype.kind == "c":
        weights = weights.real.copy()
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return weights.reshape((-1, *(1,) * (ndim - 1 - dim)))


# ---- arguments -----------------------------------------------------------------------------------


def _floating(x: Tensor, need_real: str | None = None) -> Tensor:
    """Integers and bools in the default floating dtype; refuses what cannot be transformed."""
    if need_real and x._array.dtype.kind == "c":
        raise RuntimeError(need_real.format(TYPE_NAMES[x.dtype]))
    if x._array.dtype.kind in "iub":
        return cast(x, get_default_dtype())
    if x._array.dtype.itemsize == 2:
        raise RuntimeError(f"Unsupported dtype {TYPE_NAMES[x.dtype]}")
    return x


def _mode(norm: str | None) -> str:
    if norm is None:
        return "backward"
    if norm not in _SWAPPED:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return norm


def _check_points(n: int) -> None:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")


def _resized(x: Tensor, dims: Sequence[int], sizes: Sizes) -> Tensor:
    """Cut or pad with zeros to the lengths asked for; RuntimeError for an empty dimension."""
    pads = [(0, 0)] * x.ndim
    for d, n in zip(dims, sizes, strict=True):
        length = x._array.shape[d]
        if n is not None and n != length:
            pads[d] = (0, n - length)
        _check_points(length if n is None else n)
    if any(after for _, after in pads):
        return Pad.apply(x, pads=tuple(pads), value=0)
    return x


def _dims_and_sizes(
    x: Tensor, s: Sequence[int] | None, dim: Sequence[int] | int | None
) -> tuple[tuple[int, ...], Sizes]:
    """Complete the arguments of an n-dimensional transform; -1 in `s` leaves a length alone."""
    if s is not None:
        s = (s,) if isinstance(s, int) else tuple(s)
    if dim is not None:
        given = (dim,) if isinstance(dim, int) else tuple(dim)
        if given and not x.ndim:
            raise IndexError(f"Dimension specified as {given[0]} but tensor has no dimensions")
        dims = tuple([x._dim(d) for d in given])
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    elif s is not None:
        if len(s) > x.ndim:
            raise RuntimeError(
                f"Got shape with {len(s)} values but input tensor only has {x.ndim} dimensions."
            )
        dims = tuple(range(x.ndim - len(s), x.ndim))
    else:
        dims = tuple(range(x.ndim))
    sizes = (None,) * len(dims) if s is None else tuple([None if n == -1 else n for n in s])
    for n in sizes:
        if n is not None:
            _check_points(n)
    return dims, sizes


# ---- kinds of transforms -------------------------------------------------------------------------

Transform = Callable[[Tensor, tuple[int, ...], Sizes, str], Tensor]


def _complex_to_complex(inverse: bool) -> Transform:
    def transform(x: Tensor, dims: tuple[int, ...], sizes: Sizes, norm: str) -> Tensor:
        return Fourier.apply(_resized(x, dims, sizes), dims=dims, norm=norm, inverse=inverse)

    return transform


def _others(x: Tensor, dims: tuple[int, ...], norm: str, inverse: bool) -> Tensor:
    """Complex transform over all but the last of the dimensions."""
    rest = dims[:-1]
    return Fourier.apply(x, dims=rest, norm=norm, inverse=inverse) if rest else x


def _from_real(hermitian: bool) -> Transform:
    """Real to complex; `hermitian`: as the inverse of `hfft`."""

    def transform(x: Tensor, dims: tuple[int, ...], sizes: Sizes, norm: str) -> Tensor:
        x = _resized(x, dims, sizes)
        if hermitian:
            y = conj(RealFourier.apply(x, dim=dims[-1], norm=_SWAPPED[norm]))
        else:
            y = RealFourier.apply(x, dim=dims[-1], norm=norm)
        return _others(y, dims, norm, inverse=hermitian)

    return transform


def _to_real(hermitian: bool) -> Transform:
    """Complex with an implied other half to real; `hermitian`: forwards, as `hfft`."""

    def transform(x: Tensor, dims: tuple[int, ...], sizes: Sizes, norm: str) -> Tensor:
        n = sizes[-1]
        if n is None:
            n = 2 * (x._array.shape[dims[-1]] - 1)
        _check_points(n)
        x = _resized(x, dims, (*sizes[:-1], n // 2 + 1))
        y = _others(x, dims, norm, inverse=not hermitian)
        y = conj(y) if hermitian else y
        last = {"n": n, "dim": dims[-1], "norm": _SWAPPED[norm] if hermitian else norm}
        return RealFourierInverse.apply(y, **last)

    return transform


def _promoted_complex(x: Tensor) -> Tensor:
    """A real input of a transform from complex numbers, as those."""
    if x._array.dtype.kind == "c":
        return x
    return cast(x, x.dtype.to_complex())


_KINDS: dict[str, tuple[Transform, str, str]] = {
    "fft": (_complex_to_complex(False), "", "Fourier transform"),
    "ifft": (_complex_to_complex(True), "", "Inverse Fourier transform"),
    "rfft": (_from_real(False), "real", "Non-negative frequencies of the transform of a real"),
    "irfft": (_to_real(False), "complex", "Real signal from its non-negative frequencies, the"),
    "hfft": (_to_real(True), "complex", "Real transform of half of a Hermitian signal, the"),
    "ihfft": (_from_real(True), "real", "Half of the Hermitian inverse transform of a real"),
}


def _prepared(x: Tensor, kind: str, refusal: str) -> Tensor:
    takes = _KINDS[kind][1]
    x = _floating(x, refusal if takes == "real" else None)
    return _promoted_complex(x) if takes == "complex" else x


def _finished(function: Callable[..., Tensor], name: str, doc: str) -> Callable[..., Tensor]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    published: Callable[..., Tensor] = public(function=False)(accepts_out(function))
    return published


def _over_one(kind: str) -> Callable[..., Tensor]:
    transform, _, words = _KINDS[kind]

    def function(
        input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None
    ) -> Tensor:
        if not input.ndim:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        x = _prepared(input, kind, f"{kind} expects a real input tensor, but got {{}}")
        d = x._dim(dim)
        if n is not None:
            _check_points(n)
        return transform(x, (d,), (n,), _mode(norm))

    return _finished(
        function,
        f"fft_{kind}",
        f"{words} input over `dim`, cut or padded to length `n`.\n\n"
        '`norm`: "backward" divides the inverse by n, "forward" the other direction, "ortho" '
        "both by its root.\nRaises RuntimeError for dtypes and lengths that have no transform.",
    )


def _over_several(kind: str, planar: bool) -> Callable[..., Tensor]:
    transform, takes, words = _KINDS[kind]
    name = kind + ("2" if planar else "n")
    refusal = f"{kind}n expects a real-valued input tensor, but got {{}}"
    if kind == "ihfft":
        refusal = "Only supports floating-point dtypes, but found: {}"

    def function(
        input: Tensor,
        s: Sequence[int] | None = None,
        dim: Sequence[int] | None = (-2, -1) if planar else None,
        norm: str | None = None,
    ) -> Tensor:
        x = _prepared(input, kind, refusal)
        dims, sizes = _dims_and_sizes(x, s, dim)
        if takes and not dims:
            raise RuntimeError(f"{kind}n must transform at least one axis")
        return transform(x, dims, sizes, _mode(norm))

    where = "the last two dimensions" if planar else "all dimensions"
    return _finished(
        function,
        f"fft_{name}",
        f"{words} input over `dim`, {where} by default, cut or padded to lengths `s`.\n\n"
        "See the one-dimensional transform for `norm` and errors.",
    )


for _kind in _KINDS:
    for _function in (
        _over_one(_kind),
        _over_several(_kind, planar=True),
        _over_several(_kind, planar=False),
    ):
        globals()[_function.__name__] = _function
        __all__ += [_function.__name__]
