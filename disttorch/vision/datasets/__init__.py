"""Data sets of images, read whole into memory: embedded (`Digits`) or from files (`MNIST`)."""

from disttorch.vision.datasets.digits import Digits
from disttorch.vision.datasets.idx import read_idx
from disttorch.vision.datasets.images import ImageDataset
from disttorch.vision.datasets.mnist import KMNIST, MNIST, FashionMNIST

__all__ = ["KMNIST", "MNIST", "Digits", "FashionMNIST", "ImageDataset", "read_idx"]
