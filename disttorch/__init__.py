"""disttorch: PyTorch's API as a distributed training runtime in pure Python."""

from disttorch import ops
from disttorch.autograd.tensor_methods import METHODS
from disttorch.tensor import Tensor, bind_methods

bind_methods({**METHODS, **ops.METHODS})
globals().update(ops.PUBLIC)
