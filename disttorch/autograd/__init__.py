"""`disttorch.autograd`: backward, grad, Function, grad modes, anomaly detection."""

from disttorch.autograd.anomaly import detect_anomaly, set_detect_anomaly
from disttorch.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)
from disttorch.tensor import Tensor as Variable

__all__ = [
    *("Variable", "detect_anomaly", "enable_grad", "inference_mode", "no_grad"),
    *("set_detect_anomaly", "set_grad_enabled"),
]
