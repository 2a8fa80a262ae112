"""`disttorch.Size`: a tensor's shape as a tuple that prints and counts as PyTorch's."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any, SupportsIndex, overload


class Size(tuple[int, ...]):
    """Shape of a tensor; a tuple of ints with `numel()`."""

    __slots__ = ()

    def __new__(cls, lengths: Iterable[Any] = ()) -> Size:
        """Make a size of ints and 0-d integer tensors; TypeError for anything else."""
        ints = []
        for i, n in enumerate(lengths):
            if type(n) is not int and not hasattr(n, "__index__"):
                raise TypeError(
                    f"torch.Size() takes an iterable of 'int' (item {i} is '{type(n).__name__}')"
                )
            ints.append(int(n))
        return tuple.__new__(cls, ints)

    @classmethod
    def of(cls, array: Any) -> Size:
        """Return the size of an array, whose lengths need no check."""
        return size_of(array.shape)

    def numel(self) -> int:
        """Return the number of elements of a tensor of this shape."""
        return math.prod(self)

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> Size: ...
    def __getitem__(self, key: Any) -> Any:
        item = tuple.__getitem__(self, key)
        return Size(item) if isinstance(key, slice) else item

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Any) -> Size:
        return Size(tuple(other) + tuple(self))

    def __mul__(self, times: SupportsIndex) -> Size:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    __str__ = __repr__


# Makes a size of lengths that need no check, in a third of the time of a call of `Size`.
size_of = functools.partial(tuple.__new__, Size)
