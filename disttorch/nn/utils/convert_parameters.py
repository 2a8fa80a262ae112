"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from disttorch.nn.typename import typename
from disttorch.ops.join import cat
from disttorch.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return all elements of the parameters, in order, as one vector; gradients flow through.

    TypeError if they are on several devices.
    """
    given = list(parameters)
    _check_devices(given)
    return cat([param.reshape(-1) for param in given])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make consecutive pieces of `vec` the memory of the parameters.

    TypeError if `vec` is no tensor, or the parameters are on several devices.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {typename(vec)}")
    given = list(parameters)
    _check_devices(given)
    start = 0
    for param in given:
        stop = start + param.numel()
        param.data = vec[start:stop].reshape(param.shape).data
        start = stop


def _check_devices(parameters: list[Tensor]) -> None:
    if len({str(param.device) for param in parameters}) > 1:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )
