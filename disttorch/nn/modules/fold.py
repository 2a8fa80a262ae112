"""Sliding blocks, and channels turned into pixels."""

from __future__ import annotations

from disttorch.nn.modules.function_module import REQUIRED, FunctionModule, defaults


class Fold(FunctionModule):
    """Blocks (N, C * taps, blocks) added up to images (N, C, *output_size)."""

    function = "fold"
    settings = defaults(output_size=REQUIRED, kernel_size=REQUIRED, dilation=1, padding=0, stride=1)


class Unfold(FunctionModule):
    """Sliding blocks of images (N, C, H, W) as columns (N, C * taps, blocks)."""

    function = "unfold"
    settings = defaults(kernel_size=REQUIRED, dilation=1, padding=0, stride=1)


class PixelShuffle(FunctionModule):
    """(*, C r r, H, W) -> (*, C, H r, W r)."""

    function = "pixel_shuffle"
    settings = defaults(upscale_factor=REQUIRED)


class PixelUnshuffle(FunctionModule):
    """(*, C, H r, W r) -> (*, C r r, H, W)."""

    function = "pixel_unshuffle"
    settings = defaults(downscale_factor=REQUIRED)


class ChannelShuffle(FunctionModule):
    """Channels of `groups` groups of (N, C, *) interleaved."""

    function = "channel_shuffle"
    settings = defaults(groups=REQUIRED)
