"""Channels turned into pixels and back, and channels of groups interleaved."""

from __future__ import annotations

from collections.abc import Callable

from disttorch.autograd.op import public
from disttorch.ops.shape import permute, reshape
from disttorch.tensor import Tensor

__all__ = ["channel_shuffle", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]


def _check_rank(name: str, input: Tensor, factor: int, factor_name: str) -> None:
    if input.ndim < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {input.ndim} "
            "dimension(s)"
        )
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {factor_name}, but got {factor}")


def _moved(input: Tensor, n_lead: int, order: tuple[int, ...]) -> Tensor:
    """Reorder the dimensions after the first `n_lead`."""
    return permute(input, (*range(n_lead), *(n_lead + d for d in order)))


@public()
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Make r * r channels an r times larger image: (*, C r r, H, W) -> (*, C, H r, W r).

    RuntimeError for fewer than three dimensions and channels that r * r does not divide.
    """
    r = upscale_factor
    _check_rank("pixel_shuffle", input, r, "upscale_factor")
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}"
        )
    split = reshape(input, (*lead, c // (r * r), r, r, h, w))
    return reshape(_moved(split, len(lead), (0, 3, 1, 4, 2)), (*lead, c // (r * r), h * r, w * r))


@public()
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Make r * r pixels channels: (*, C, H r, W r) -> (*, C r r, H, W).

    RuntimeError for fewer than three dimensions and images that r does not divide.
    """
    r = downscale_factor
    _check_rank("pixel_unshuffle", input, r, "downscale_factor")
    *lead, c, h, w = input.shape
    for name, dim, n in (("height", -2, h), ("width", -1, w)):
        if n % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({dim})={n} is not divisible by {r}"
            )
    split = reshape(input, (*lead, c, h // r, r, w // r, r))
    return reshape(_moved(split, len(lead), (0, 2, 4, 1, 3)), (*lead, c * r * r, h // r, w // r))


def _channel_shuffle(name: str) -> Callable[..., Tensor]:
    def shuffle(input: Tensor, groups: int) -> Tensor:
        if input.ndim < 3:
            raise RuntimeError(
                "channel_shuffle expects input with > 2 dims, but got input with sizes "
                f"{list(input.shape)}"
            )
        if groups <= 0:
            raise RuntimeError(
                f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
            )
        n, c, *sizes = input.shape
        if c % groups:
            raise RuntimeError(
                f"Number of channels must be divisible by groups. Got {c} channels and {groups} "
                "groups."
            )
        split = reshape(input, (n, groups, c // groups, *sizes))
        return reshape(_moved(split, 1, (1, 0, *range(2, split.ndim - 1))), input.shape)

    shuffle.__name__ = shuffle.__qualname__ = name
    shuffle.__doc__ = (
        "Interleave the channels of `groups` groups of input (N, C, *S).\n\nRuntimeError for "
        "fewer than three dimensions and channels that groups do not divide."
    )
    return public()(shuffle)


channel_shuffle = _channel_shuffle("channel_shuffle")
native_channel_shuffle = _channel_shuffle("native_channel_shuffle")
