"""Devices with PyTorch's spelling: ``device("cuda", 1)``, ``device("cuda:1")``, ``"cpu"``."""

from __future__ import annotations

import re
from typing import Any

_KNOWN = ("cpu", "cuda", "meta", "fake")


class device:
    """Where a tensor's memory lives: a type and, for accelerators, an index.

    Raises RuntimeError for an unknown type or a malformed string, as PyTorch does.
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
        match = re.fullmatch(r"([a-z]+)(?::(\d+))?", type)
        if match is None:
            raise RuntimeError(f"Invalid device string: '{type}'")
        name, digits = match.groups()
        if name not in _KNOWN:
            raise RuntimeError(
                f"Expected one of {', '.join(_KNOWN[:3])} device type at start of device string: "
                f"{name}"
            )
        if digits is not None and index is not None:
            raise RuntimeError(
                f"type (string) must not include an index because index was passed explicitly: "
                f"{type}"
            )
        self.type = name
        self.index = int(digits) if digits is not None else index

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
