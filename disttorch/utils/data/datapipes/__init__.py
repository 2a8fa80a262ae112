"""Data pipes: streams and maps that are chained by methods, as PyTorch still accepts them."""

from disttorch.utils.data.datapipes import iter, map
