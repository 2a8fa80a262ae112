"""Methods of Tensor that belong to autograd: backward, hooks, retain_grad."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.gradient import backward as _backward
from disttorch.autograd.node import RemovableHandle, accumulator_of, add_hook, edge_of
from disttorch.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np

VOLATILE_IS_GONE = (
    "volatile was removed and now has no effect. Use `with torch.no_grad():` instead."
)


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
    **legacy: Any,
) -> None:
    """Add the gradient of this tensor to the `.grad` of the graph's leaves.

    `gradient` has this tensor's shape; scalars need none. See `autograd.backward`.
    """
    if "retain_variables" in legacy:
        raise TypeError("backward(): retain_variables was renamed; pass retain_graph instead")
    if legacy:
        raise TypeError(f"backward() got an unexpected keyword argument {next(iter(legacy))!r}")
    _backward(self, gradient, retain_graph, create_graph, inputs=inputs)


def register_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> RemovableHandle:
    """Call ``hook(grad)`` whenever this tensor's gradient is computed; it may return another.

    Raises RuntimeError for a tensor that requires no gradient.
    """
    edge = edge_of(self)
    if edge is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    node, output_nr = edge
    return node.hook_output(output_nr, hook)


def register_post_accumulate_grad_hook(
    self: Tensor, hook: Callable[[Tensor], Any]
) -> RemovableHandle:
    """Call ``hook(leaf)`` after a gradient was added to this leaf's `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if self.grad_fn is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return add_hook(accumulator_of(self).hooked().accumulated, hook)


def retain_grad(self: Tensor) -> None:
    """Let this non-leaf keep its gradient in `.grad`; nothing happens for leaves.

    Raises RuntimeError for a tensor that requires no gradient.
    """
    edge = edge_of(self)
    if edge is None:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    node, output_nr = edge
    if self._grad_fn is not None:
        node.hooked().retained[output_nr] = weakref.ref(self)


def numpy(self: Tensor, *, force: bool = False) -> np.ndarray:
    """Return the values as an ndarray that shares memory with a CPU tensor.

    Raises RuntimeError when gradients would be lost, unless `force`; TypeError off the CPU.
    """
    if force:
        return self.backend.to_host(self._array)
    if self.requires_grad and STATE.enabled:
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )
    if self.device.type != "cpu":
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to "
            "copy the tensor to host memory first."
        )
    return self._array


def _volatile(self: Tensor) -> bool:
    """Always False, with a warning; `no_grad` took its place."""
    warnings.warn("volatile was removed (Variable.volatile is always False)", stacklevel=2)
    return False


def _set_volatile(self: Tensor, value: object) -> None:
    warnings.warn(VOLATILE_IS_GONE, stacklevel=2)


METHODS = {
    f.__name__: f
    for f in (backward, numpy, register_hook, register_post_accumulate_grad_hook, retain_grad)
} | {"volatile": property(_volatile, _set_volatile)}
