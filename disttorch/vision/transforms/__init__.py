"""Transforms of one sample: `Compose` a few and pass them to a data set."""

from disttorch.vision.transforms.compose import Compose
from disttorch.vision.transforms.normalize import Normalize
from disttorch.vision.transforms.to_tensor import ToTensor

__all__ = ["Compose", "Normalize", "ToTensor"]
