"""Where an array lies in memory, with bytes around it that no collective may touch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LAYOUTS = ("plain", "offset", "strided", "reversed", "fortran", "columns", "read-only")
_AROUND = 64


class Space:
    """An array with `values`, laid out as `layout` says; `window` is memory of the group."""

    def __init__(self, values: np.ndarray, layout: str, window: np.ndarray | None = None) -> None:
        self._values = values
        if window is not None:
            self._buffer = window
            self.array = window[_AROUND : _AROUND + values.nbytes].view(values.dtype)
        else:
            self._buffer = np.full(4 * _AROUND + 3 * values.nbytes, 0xA5, np.uint8)
            self.array = _VIEWS[layout](self._buffer, values)
        self.array[...] = values.reshape(self.array.shape)
        self._before = self._buffer.tobytes() if window is None else None
        if layout == "read-only":
            self.array.flags.writeable = False

    def result(self) -> np.ndarray:
        """What the array holds now, flat; AssertionError if anything around it has changed."""
        held = self.array.copy().reshape(-1)
        if self._before is not None:
            if self.array.flags.writeable:
                self.array[...] = self._values.reshape(self.array.shape)
            assert self._buffer.tobytes() == self._before, "memory around an array has changed"
        return held

    def unchanged(self) -> None:
        """AssertionError if the array or anything around it has changed."""
        if self._before is not None:
            assert self._buffer.tobytes() == self._before, "an input has changed"


def _flat(at: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def view(buffer: np.ndarray, values: np.ndarray) -> np.ndarray:
        flat = buffer[at : at + values.nbytes].view(values.dtype)
        return flat.reshape(()) if values.size == 1 else flat

    return view


def _strided(step: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def view(buffer: np.ndarray, values: np.ndarray) -> np.ndarray:
        twice = buffer[_AROUND : _AROUND + 2 * values.nbytes].view(values.dtype)
        return twice[::2][::step]

    return view


def _fortran(buffer: np.ndarray, values: np.ndarray) -> np.ndarray:
    rows = 7 if values.size % 7 == 0 else 1
    flat = buffer[_AROUND : _AROUND + values.nbytes].view(values.dtype)
    return flat.reshape(rows, -1 if values.size else 0).T


def _columns(buffer: np.ndarray, values: np.ndarray) -> np.ndarray:
    n = values.size // 7 if values.size % 7 == 0 else 1
    rows = values.size // n if n else 0
    # Two more columns than are used.
    room = buffer[_AROUND : _AROUND + (rows * (n + 2)) * values.itemsize]
    return room.view(values.dtype).reshape(rows, n + 2)[:, 1 : n + 1]


_VIEWS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "plain": _flat(_AROUND),
    "read-only": _flat(_AROUND),
    "offset": _flat(_AROUND + 1),
    "strided": _strided(1),
    "reversed": _strided(-1),
    "fortran": _fortran,
    "columns": _columns,
}
