"""Learning rate schedulers: PyTorch's names, signatures and sequences of rates."""

from disttorch.optim.lr_scheduler.base import LRScheduler
from disttorch.optim.lr_scheduler.by_function import LambdaLR, MultiplicativeLR
from disttorch.optim.lr_scheduler.composed import ChainedScheduler, SequentialLR
from disttorch.optim.lr_scheduler.cyclic import CyclicLR, OneCycleLR
from disttorch.optim.lr_scheduler.decay import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from disttorch.optim.lr_scheduler.plateau import ReduceLROnPlateau

_LRScheduler = LRScheduler  # PyTorch's name of the base class before 2.0

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
