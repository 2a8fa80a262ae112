"""Images for training: data sets that need no download, and the transforms that feed them."""

from disttorch.vision import datasets, transforms

__all__ = ["datasets", "transforms"]
