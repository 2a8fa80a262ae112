"""Convolution weights laid out in memory as the images they meet."""

from __future__ import annotations

from disttorch.layout import memory_format as MemoryFormat
from disttorch.nn.modules.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from disttorch.nn.modules.module import Module


def _convert(module: Module, kinds: tuple[type, ...], memory_format: MemoryFormat) -> Module:
    for part in module.modules():
        if isinstance(part, kinds):
            part.weight.data = part.weight.detach().contiguous(memory_format=memory_format)
    return module


def convert_conv2d_weight_memory_format(module: Module, memory_format: MemoryFormat) -> Module:
    """Lay out the weights of all 2-D convolutions in `module`, transposed ones too."""
    return _convert(module, (Conv2d, ConvTranspose2d), memory_format)


def convert_conv3d_weight_memory_format(module: Module, memory_format: MemoryFormat) -> Module:
    """Lay out the weights of all 3-D convolutions in `module`, transposed ones too."""
    return _convert(module, (Conv3d, ConvTranspose3d), memory_format)
