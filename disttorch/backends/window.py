"""Geometry of a sliding window (convolution, pooling): sizes and slices, no arrays.

A *tap* is one position inside the window. All windows' elements at one tap form a strided slice of
the input, so a window operator is a few whole-array operations a tap and never a loop over pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

Sizes = tuple[int, ...]
Slices = tuple[slice, ...]


@dataclass(frozen=True)
class Window:
    """Kernel size, stride, zero padding on both sides and dilation, one number a spatial dim."""

    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes

    @property
    def n_taps(self) -> int:
        """Number of elements in the window."""
        n = 1
        for k in self.kernel:
            n *= k
        return n

    @property
    def is_pointwise(self) -> bool:
        """Whether output and input positions correspond one to one (a 1x1 convolution)."""
        return self.n_taps == 1 and set(self.stride) == {1} and not any(self.padding)

    def covers(self, dim: int, n: int) -> bool:
        """Whether the first window along `dim` is the whole length `n` without gaps."""
        return (self.kernel[dim], self.padding[dim], self.dilation[dim]) == (n, 0, 1)

    def outputs(self, sizes: Sizes) -> Sizes:
        """Return the output's spatial sizes for an input of spatial `sizes`, rounding down."""
        return tuple(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                sizes, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )

    def tap_slices(self, dim: int, n: int, n_out: int) -> list[tuple[slice, slice]]:
        """Return, for each tap along `dim`, which outputs it serves and which inputs it reads.

        `n` and `n_out` are the lengths of input and output; taps in the padding are cut off.
        """
        s, p, d = self.stride[dim], self.padding[dim], self.dilation[dim]
        pairs = []
        for k in range(self.kernel[dim]):
            shift = k * d - p  # output o reads input o * s + shift
            first = max(0, -(shift // s))
            last = max(first, min(n_out, (n - 1 - shift) // s + 1))
            start = first * s + shift
            stop = start + (last - first - 1) * s + 1 if last > first else start
            pairs.append((slice(first, last), slice(start, stop, s)))
        return pairs

    def taps(self, sizes: Sizes, out_sizes: Sizes) -> Iterator[tuple[Slices, Slices]]:
        """Yield (output slices, input slices) of every tap, the last dimension fastest."""
        by_dim = [
            self.tap_slices(dim, n, n_out)
            for dim, (n, n_out) in enumerate(zip(sizes, out_sizes, strict=True))
        ]
        for pairs in itertools.product(*by_dim):
            yield tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
