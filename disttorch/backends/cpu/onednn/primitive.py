"""A primitive with everything around it: memory in the layout it wants, copies in and out."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from disttorch.backends.cpu.onednn.library import Library, dims

Array = np.ndarray

_FLOAT32 = 3
_ANY_LAYOUT = 1
_ALIGNMENT = 64
# Arguments of a primitive, and what to ask its descriptor for their layout.
SRC, DST, WEIGHTS = 1, 17, 33
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS = 129, 145, 161
_QUERIES = {SRC: 129, DIFF_SRC: 130, WEIGHTS: 131, DIFF_WEIGHTS: 132, DST: 133, DIFF_DST: 134}


class _Argument(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_int), ("memory", ctypes.c_void_p)]


def any_layout(lib: Library, shape: Sequence[int]) -> Any:
    """Descriptor of float32 memory whose layout the primitive may choose."""
    return lib.make(
        "memory_desc_create_with_tag", ctypes.c_int(len(shape)), dims(shape),
        ctypes.c_int(_FLOAT32), ctypes.c_int(_ANY_LAYOUT),
    )  # fmt: skip


def layout_of(lib: Library, shape: Sequence[int], strides: Sequence[int]) -> Any:
    """Descriptor of float32 memory with these strides, in elements."""
    return lib.make(
        "memory_desc_create_with_strides", ctypes.c_int(len(shape)), dims(shape),
        ctypes.c_int(_FLOAT32), dims(strides),
    )  # fmt: skip


class _Operand:
    """An array of the caller on its way to or from the layout of the primitive."""

    def __init__(self, lib: Library, user: Any, wanted: Any, is_output: bool) -> None:
        self.user, self.wanted = user, wanted
        self.nbytes = lib.nbytes(wanted)
        self.copy = None
        if not lib.equal(user, wanted):
            ends = (wanted, user) if is_output else (user, wanted)
            descriptor = lib.make(
                "reorder_primitive_desc_create", ends[0], lib.engine, ends[1], lib.engine, None
            )
            self.copy = lib.make("primitive_create", descriptor)


class Primitive:
    """A primitive made once for certain shapes and layouts; it may run in several threads."""

    def __init__(
        self, lib: Library, descriptor: Any, inputs: Mapping[int, Any], output: tuple[int, Any]
    ) -> None:
        self.lib, self.descriptor = lib, descriptor
        self.primitive = lib.make("primitive_create", descriptor)
        self.inputs = {
            arg: _Operand(lib, user, lib.query(descriptor, _QUERIES[arg]), False)
            for arg, user in inputs.items()
        }
        arg, user = output
        self.output = arg, _Operand(lib, user, lib.query(descriptor, _QUERIES[arg]), True)

    def run(self, arrays: Sequence[Array], out: Array) -> None:
        """Compute `out` from `arrays`, which are in the order of `inputs`."""
        lib, stream = self.lib, self.lib.ready()
        held: list[Any] = []  # memory objects and buffers, until the primitive is done
        try:
            arguments = []
            for (arg, operand), array in zip(self.inputs.items(), arrays, strict=True):
                memory = self._memory(held, operand.user, array.ctypes.data)
                if operand.copy is not None:
                    copied = self._buffer(held, operand)
                    self._execute(operand.copy, stream, [(SRC, memory), (DST, copied)])
                    memory = copied
                arguments.append((arg, memory))
            arg, operand = self.output
            target = self._memory(held, operand.user, out.ctypes.data)
            result = target if operand.copy is None else self._buffer(held, operand)
            self._execute(self.primitive, stream, [*arguments, (arg, result)])
            if operand.copy is not None:
                self._execute(operand.copy, stream, [(SRC, result), (DST, target)])
            lib.call("stream_wait", stream)
        finally:
            for memory in held:
                if not isinstance(memory, np.ndarray):
                    lib.call("memory_destroy", memory)

    def _memory(self, held: list[Any], descriptor: Any, address: int) -> Any:
        memory = self.lib.make(
            "memory_create", descriptor, self.lib.engine, ctypes.c_void_p(address)
        )
        held.append(memory)
        return memory

    def _buffer(self, held: list[Any], operand: _Operand) -> Any:
        """Memory of our own in the primitive's layout."""
        buffer = np.empty(operand.nbytes + _ALIGNMENT, np.uint8)
        held.append(buffer)
        return self._memory(held, operand.wanted, -(-buffer.ctypes.data // _ALIGNMENT) * _ALIGNMENT)

    def _execute(self, primitive: Any, stream: Any, arguments: list[tuple[int, Any]]) -> None:
        array = (_Argument * len(arguments))(*((a, m.value) for a, m in arguments))
        self.lib.call("primitive_execute", primitive, stream, ctypes.c_int(len(arguments)), array)
