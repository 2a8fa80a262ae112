"""NumPy arrays as the CPU backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.backends.base import Backend, register_backend
from disttorch.device import device

_CPU = device("cpu")


class NumpyBackend(Backend):
    """Arrays in host memory."""

    device_type = "cpu"
    xp = np
    array_type = np.ndarray

    def device_of(self, array: np.ndarray) -> device:
        """Return ``device("cpu")``."""
        return _CPU

    def asarray(self, value: Any, np_dtype: Any = None) -> np.ndarray:
        """Return `value` as an ndarray, without a copy where it is one of the right dtype."""
        return np.asarray(value, dtype=np_dtype)

    def to_host(self, array: np.ndarray) -> np.ndarray:
        """Return `array` itself."""
        return array

    def data_ptr(self, array: np.ndarray) -> int:
        """Return the address of the first element, in bytes."""
        address: int = array.__array_interface__["data"][0]
        return address


# PyTorch's arithmetic is silent about division by zero, overflow and NaN; entering np.errstate in
# every op would cost as much as a small op itself, so the setting is made once, for the thread
# that imports disttorch (threads of our own call this again).
def silence_floating_point_warnings() -> None:
    """Let NumPy compute inf and nan without warnings in the current context."""
    np.seterr(divide="ignore", over="ignore", under="ignore", invalid="ignore")


CPU = NumpyBackend()
register_backend(CPU)
silence_floating_point_warnings()
