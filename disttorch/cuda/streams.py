"""Queues of work on a CUDA device: there are none."""

from __future__ import annotations

from typing import Any


class Stream:
    """A queue of work on a CUDA device: there is none to make one on."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        raise RuntimeError("torch.cuda.Stream requires CUDA support")


class Event:
    """A mark in a queue of work: there is no device to make one on."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        raise RuntimeError("Tried to instantiate dummy base class Event")


class stream:
    """``with stream(s):`` queues work on `s`; None changes nothing."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        """Change nothing: there are no streams."""

    def __exit__(self, *_: object) -> None:
        """Nothing was changed."""


def synchronize(device: Any = None) -> None:
    """Wait for the device's queued work; without a device there is none."""
