"""Which CUDA device is meant: none, so what needs one refuses as PyTorch's CPU build does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from disttorch.device import device as Device

_ABSENT = "Torch not compiled with CUDA enabled"


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **keywords: Any) -> NoReturn:
        raise AssertionError(_ABSENT)

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "Raise AssertionError: there is no CUDA device."
    return refuse


init, set_device = _refusing("init"), _refusing("set_device")
current_device, current_stream = _refusing("current_device"), _refusing("current_stream")
default_stream, get_device_name = _refusing("default_stream"), _refusing("get_device_name")
get_device_properties = _refusing("get_device_properties")
get_device_capability = _refusing("get_device_capability")
can_device_access_peer = _refusing("can_device_access_peer")


class device:
    """``with device(0):`` makes a device the current one; None and negative numbers change nothing.

    Raises RuntimeError when the block is entered with another one.
    """

    def __init__(self, device: Any) -> None:
        if isinstance(device, (str, Device)):
            index = Device(device).index
            device = 0 if index is None else index
        self.idx = -1 if device is None else int(device)

    def __enter__(self) -> None:
        if self.idx >= 0:
            raise RuntimeError("PyTorch was compiled without CUDA support")

    def __exit__(self, *_: object) -> None:
        """Nothing was changed."""


class device_of(device):
    """``with device_of(tensor):`` makes its device the current one; the CPU changes nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if obj.is_cuda else -1)
