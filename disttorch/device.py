"""Devices with PyTorch's spelling: ``device("cuda", 1)``, ``device("cuda:1")``, ``"cpu"``."""

from __future__ import annotations

import re
import threading
from typing import Any

# The types PyTorch knows, in the order of its error; all can be spelt, few can be used.
_KNOWN = (
    *("cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga"),
    *("maia", "xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone"),
)
_FAKE = "fake"  # the strict device of our tests


class device:
    """Where a tensor's memory lives: a type and, for accelerators, an index.

    As a context, the device of tensors made inside without a `device`. Raises RuntimeError for an
    unknown type or a malformed string, TypeError for what is no string, int or device.
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, type: Any, index: int | None = None) -> None:
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        if isinstance(type, int):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(
                "device(): argument 'type' must be str, int or torch.device, not "
                f"{type.__class__.__name__}"
            )
        name, digits = _parsed(type)
        if digits is not None and index is not None:
            raise RuntimeError(
                f"type (string) must not include an index because index was passed explicitly: "
                f"{type}"
            )
        if index is not None and index < 0:
            raise RuntimeError("Device index must not be negative")
        self.type = name
        self.index = int(digits) if digits is not None else index

    def __enter__(self) -> device:
        _DEFAULT.entered.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _DEFAULT.entered.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __reduce__(self) -> tuple[Any, tuple[str, int | None]]:
        return device, (self.type, self.index)


def _parsed(text: str) -> tuple[str, str | None]:
    """Type and index of a device string; RuntimeError with PyTorch's texts."""
    if not text:
        raise RuntimeError("Device string must not be empty")
    match = re.fullmatch(r"([a-zA-Z_]+)(?::(0|[1-9]\d*))?", text)
    if match is None:
        raise RuntimeError(f"Invalid device string: '{text}'")
    if match[1] not in _KNOWN and match[1] != _FAKE:
        raise RuntimeError(
            f"Expected one of {', '.join(_KNOWN)} device type at start of device string: {match[1]}"
        )
    return match[1], match[2]


class _Default(threading.local):
    """The device of new tensors: what this thread set, and the contexts it is in."""

    def __init__(self) -> None:
        self.entered = [device("cpu")]


_DEFAULT = _Default()


def chosen_device(given: Any) -> device:
    """Return the device a function makes its tensor on: `given` or, if None, the default."""
    return _DEFAULT.entered[-1] if given is None else device(given)


def get_default_device() -> device:
    """Return the device of tensors made without a `device` in this thread."""
    return _DEFAULT.entered[-1]


def set_default_device(device_: Any) -> None:
    """Set the device of tensors this thread makes without a `device`; None is the CPU again."""
    _DEFAULT.entered[0] = device("cpu" if device_ is None else device_)
