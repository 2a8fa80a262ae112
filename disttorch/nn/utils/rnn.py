"""Sequences of different lengths: padded to one tensor, or packed without padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

from disttorch.dtype import double, float32, half, int8, int16, int32, int64, uint8
from disttorch.ops.index_dim import index_select
from disttorch.ops.join import cat, stack
from disttorch.ops.pad import constant_pad_nd
from disttorch.tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Packed):
    """Sequences step by step: `data` (rows, *), of which step t has ``batch_sizes[t]``.

    Sequences are in decreasing order of length; `sorted_indices` says which of the user's each is,
    `unsorted_indices` is the inverse. ValueError for batch sizes that are not on the CPU.
    """

    __slots__ = ()
    __qualname__ = "PackedSequence"

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        """Take the four parts, or (data, batch_sizes) as the first argument."""
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be "
                "created manually. They should be instantiated by functions like pack_sequence and "
                "pack_padded_sequences in nn.utils.rnn. "
                "https://pytorch.org/docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Convert `data` as ``Tensor.to`` does; indices follow it to its device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = (None if t is None else t.to(data.device) for t in self[2:])
        return type(self)(data, self.batch_sizes, *indices)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Move `data` to host memory."""
        return self.to(*args, **{"device": "cpu", **kwargs})

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Move `data` to a CUDA device."""
        return self.to(*args, **{"device": "cuda", **kwargs})

    def pin_memory(self) -> PackedSequence:
        """Copy to page-locked memory."""
        pinned = (None if t is None else t.pin_memory() for t in self[2:])
        return type(self)(self.data.pin_memory(), self.batch_sizes, *pinned)

    def is_pinned(self) -> bool:
        """Whether `data` is in page-locked memory."""
        return bool(self.data.is_pinned())

    @property
    def is_cuda(self) -> bool:
        """Whether `data` is on a CUDA device."""
        return bool(self.data.is_cuda)


def _cast(name: str, dtype: Any) -> Callable[[PackedSequence], PackedSequence]:
    """Make a method that casts `data`."""

    def cast(self: PackedSequence) -> PackedSequence:
        return self.to(dtype=dtype)

    cast.__name__ = name
    cast.__doc__ = f"Cast `data` to {dtype}."
    return cast


for _name, _dtype in (
    *(("double", double), ("float", float32), ("half", half), ("long", int64), ("int", int32)),
    *(("short", int16), ("char", int8), ("byte", uint8)),
):
    setattr(PackedSequence, _name, _cast(_name, _dtype))


def _indices(values: Iterable[int]) -> Tensor:
    """A tensor of int64 on the CPU."""
    return Tensor(0).new_tensor(list(values), dtype=int64)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the permutation that undoes `permutation` (n,), int64; None for None."""
    if permutation is None:
        return None
    inverse = permutation.new_empty(permutation.shape)
    order = permutation.new_tensor(range(permutation.numel()))
    return inverse.scatter_(0, permutation, order)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Drop the padding of input (T, N, *) or, with `batch_first`, (N, T, *).

    `lengths` (N,) are on the CPU, in decreasing order unless `enforce_sorted` is False.
    RuntimeError for lengths that are not positive, in another order, or too many or too few.
    """
    steps_first = input.transpose(0, 1) if batch_first else input
    given = [int(n) for n in lengths]
    order = None
    if not enforce_sorted:
        order = sorted(range(len(given)), key=lambda i: -given[i])
        given = [given[i] for i in order]
    _check_lengths(given, steps_first)
    sorted_indices = None
    if order is not None:
        sorted_indices = input.new_tensor(order, dtype=int64)
        steps_first = index_select(steps_first, 1, sorted_indices)
    sizes = [sum(n > t for n in given) for t in range(given[0])]
    data = cat([steps_first[t, :n] for t, n in enumerate(sizes)])
    return PackedSequence(data, _indices(sizes), sorted_indices)


def _check_lengths(lengths: list[int], steps_first: Tensor) -> None:
    """PyTorch's errors for lengths that do not describe a batch."""
    n_steps, n = steps_first.shape[:2]
    if not steps_first.numel():
        raise RuntimeError("Cannot pack empty tensors.")
    if len(lengths) != n:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} "
            f"(batch_size={n})"
        )
    if lengths[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if any(a < b for a, b in pairwise(lengths)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You "
            "can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if lengths[0] > n_steps:
        raise RuntimeError(f"start (0) + length ({lengths[0]}) exceeds dimension size ({n_steps}).")


def _padded(t: Tensor, dim: int, n: int, value: float, left: bool = False) -> Tensor:
    """Pad dimension `dim` to length `n`."""
    missing = n - t.shape[dim]
    if not missing:
        return t
    pads = [0] * (2 * (t.ndim - dim))
    pads[-2 if left else -1] = missing
    return constant_pad_nd(t, pads, value)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return (T, N, *), or (N, T, *) with `batch_first`, and the lengths, in the user's order.

    T is the longest length or `total_length`, for which ValueError if it is shorter.
    """
    sizes = [int(n) for n in sequence.batch_sizes]
    n_steps = len(sizes)
    if total_length is not None:
        if total_length < n_steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in "
                f"input, but got total_length={total_length} and max sequence length being "
                f"{n_steps}"
            )
        n_steps = total_length
    parts = sequence.data.split(sizes)
    output = stack([_padded(part, 0, sizes[0], padding_value) for part in parts])
    output = _padded(output, 0, n_steps, padding_value)
    lengths = _indices(sum(size > i for size in sizes) for i in range(sizes[0]))
    if sequence.unsorted_indices is not None:
        output = index_select(output, 1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.cpu()]
    return (output.transpose(0, 1) if batch_first else output), lengths


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack tensors (L, *) of different L, padded on one side: (T, N, *) or (N, T, *).

    RuntimeError for what is not iterable, an empty list or an unknown side.
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    tensors = list(sequences)
    if not tensors:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    longest = max(t.shape[0] for t in tensors)
    left = padding_side == "left"
    padded = [_padded(t, 0, longest, padding_value, left) for t in tensors]
    return stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Cut padded sequences (T, N, *) or (N, T, *) to their lengths (N,)."""
    dim = 0 if batch_first else 1
    rows: Sequence[Tensor] = padded_sequences.unbind(dim)
    return [row[: int(n)] for row, n in zip(rows, lengths, strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack tensors (L, *), in decreasing order of L unless `enforce_sorted` is False."""
    lengths = [t.shape[0] for t in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Return the sequences (L, *) in the user's order."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
