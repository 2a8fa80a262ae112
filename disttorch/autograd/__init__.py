"""`disttorch.autograd`: backward, grad, Function, gradient checks, grad modes, anomaly mode."""

from disttorch.autograd import forward_ad, function, functional, graph, profiler
from disttorch.autograd.anomaly import (
    detect_anomaly,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from disttorch.autograd.function import Function
from disttorch.autograd.grad_mode import (
    _unsafe_preserve_version_counter,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from disttorch.autograd.gradcheck import gradcheck, gradgradcheck
from disttorch.autograd.gradient import backward, grad
from disttorch.autograd.variable import Variable
