"""What an op may ask of a device: an array namespace `xp`, a functional namespace `F`, kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from disttorch.backends.kernels import Kernels
from disttorch.backends.linalg import LinearAlgebra
from disttorch.backends.raw import RawFunctions
from disttorch.backends.special import SpecialFunctions
from disttorch.device import device

Array = Any  # a NumPy or CuPy ndarray, or the strict fake of the tests


class Backend(Kernels, LinearAlgebra, SpecialFunctions):
    """Arrays of one kind of device.

    Ops see `ctx.backend` (this object), `ctx.xp` (its NumPy-like namespace) and `ctx.F` (the same
    functions under PyTorch's names and conventions). Whatever NumPy and CuPy spell differently,
    or a fast library does better, is a method here and has one implementation a subclass.
    """

    device_type: str
    xp: Any
    array_type: type
    # Elements a chain of in-place operations should work on at a time, to stay in the cache;
    # None: all at once.
    fused_block: int | None = None
    # Elements from which pointwise operators are cut into pieces, and elements of a piece; those
    # that do little with an element are cut from `light_pieces_from` elements only.
    pieces_from: float = math.inf
    light_pieces_from: float = math.inf
    piece: int = 1

    def __init__(self) -> None:
        self.F = RawFunctions(self.xp)

    def device_of(self, array: Array) -> device:
        """Return the device that holds `array`."""
        raise NotImplementedError

    def asarray(self, value: Any, np_dtype: Any = None) -> Array:
        """Return `value` (number, nested list, host array or own array) as this kind of array."""
        raise NotImplementedError

    def to_host(self, array: Array) -> Any:
        """Return `array` as a NumPy array; a copy unless it is one already."""
        raise NotImplementedError

    def data_ptr(self, array: Array) -> int:
        """Return the address of the first element, in bytes."""
        raise NotImplementedError

    def shares_memory(self, a: Array, b: Array) -> bool:
        """Whether the memory ranges of two arrays overlap."""
        return bool(self.xp.may_share_memory(a, b))

    def storage(self, array: Array) -> tuple[int, int]:
        """Return where `array` starts in the memory it is a view of, and that memory's size.

        Both in bytes.
        """
        root = self._root(array)
        return self.data_ptr(array) - self.data_ptr(root), int(root.nbytes)

    def storage_bytes(self, array: Array) -> Array:
        """Return the whole memory that `array` is a view of, as a 1-D uint8 array that shares it.

        An array whose memory has holes or an owner of its own counts as its own memory.
        """
        root = self._root(array)
        if not (root.flags.c_contiguous or root.flags.f_contiguous):
            root = self.xp.ascontiguousarray(root)
        flat = root.reshape(-1, order="A")
        return flat.view("uint8") if flat.size else self.xp.empty(0, "uint8")

    def copy_in_storage(self, array: Array, memo: dict[Any, Any]) -> Array:
        """Copy the whole memory that `array` is a view of, once a `memo`; return the view of it.

        Views copied with one memo share their memory as the originals do.
        """
        root = self._root(array)
        dense = root.flags.c_contiguous or root.flags.f_contiguous
        if not dense or root.nbytes % array.itemsize or root.dtype != array.dtype:
            return array.copy(order="K")
        key = ("storage", id(root))
        if key not in memo:
            memo[key] = root.reshape(-1, order="A").copy()
        if root is array and root.flags.c_contiguous:
            return memo[key].reshape(array.shape)
        offset = self.data_ptr(array) - self.data_ptr(root)
        return self.as_strided(memo[key], array.shape, array.strides, offset)

    def is_shared(self, array: Array) -> bool:
        """Whether other processes may have this array's memory mapped."""
        return False

    def shared_copy(self, array: Array) -> Array:
        """Return a copy, of the same strides, in memory that forked processes share."""
        return array

    def _root(self, array: Array) -> Array:
        """The array that owns the memory `array` is a view of."""
        while isinstance(array.base, self.array_type):
            array = array.base
        return array

    def as_strided(
        self, array: Array, shape: Sequence[int], strides: Sequence[int], offset: int = 0
    ) -> Array:
        """View of the memory `offset` bytes after `array`'s first element; `strides` in bytes."""
        if offset:
            root = self._root(array)
            start = (self.data_ptr(array) - self.data_ptr(root) + offset) // array.dtype.itemsize
            array = root.reshape(-1)[start:]
        return self.xp.lib.stride_tricks.as_strided(array, tuple(shape), tuple(strides))

    def broadcast_writable(self, array: Array, shape: Sequence[int]) -> Array:
        """Broadcast view that keeps the writable flag of its source, as a tensor view does."""
        lead = len(shape) - array.ndim
        strides = [0] * lead + [
            s if n == wanted else 0
            for s, n, wanted in zip(array.strides, array.shape, shape[lead:], strict=True)
        ]
        return self.as_strided(array, shape, strides)

    def run_pieces(self, work: Callable[[int], None], n: int) -> None:
        """Call ``work(i)`` for i in range(n), in any order and perhaps in several threads."""
        for i in range(n):
            work(i)

    def n_threads(self) -> int:
        """Return how many threads `run_pieces` may use."""
        return 1

    def forward_kernel(self, op: str, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
        """Return ``run(flat inputs, flat output)`` that does all of a pointwise forward, or None.

        `op` is the operator's name, `arrays` its inputs, numbers and None among them.
        """
        return None

    def backward_kernel(
        self, op: str, g: Array, saved: Sequence[Any], notes: dict[str, Any]
    ) -> Any:
        """Return ``run(flat [g, *saved], flat gradient of the first input)``, or None."""
        return None

    def recurrent_kernel(self, name: str, gates: Array, n_steps: int) -> Any:
        """Return a function of one step's rows that does all but the product, or None.

        `name` is "lstm" or "lstm_backward"; `gates` holds all steps' rows.
        """
        return None

    def optimizer_step(self, update: str, flat: Sequence[Array], c: Any, before: Any) -> bool:
        """Do a whole optimiser step on flat arrays, or return False for the caller to do it.

        `update` names the formula (``Adam.update``) and `c` is what it is given; `flat` holds
        parameter, gradient and state; `before` says what is done to the gradient first: None, or
        (weight decay, factor of the parameter, whether to maximize).
        """
        return False

    def axpby(self, a: float, x: Array, b: float, y: Array, scratch: Array) -> None:
        """Do ``y = a * x + b * y`` in place on flat contiguous arrays; overwrites `scratch`."""
        if b != 1:
            self.xp.multiply(y, b, out=y)
        self.xp.multiply(x, a, out=scratch)
        self.xp.add(y, scratch, out=y)

    def add_scaled(self, y: Array, x: Array, a: float) -> bool:
        """Do ``y += a * x`` in place in one pass, or return False for the caller to do it."""
        return False

    def add_up(
        self, x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
    ) -> Array:
        """Return the sum over `axis` (None: all) in x's dtype; 16-bit floats are summed as 32."""
        if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
            wide = self.xp.asarray(x.astype("float32").sum(axis=axis, keepdims=keepdims))
            return wide.astype(x.dtype)
        return x.sum(axis=axis, keepdims=keepdims, dtype=x.dtype)

    def sum_squares(
        self, x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
    ) -> Array:
        """Return the sum of the squares of real x over `axis` (None: all)."""
        return self.add_up(x * x, axis, keepdims)

    def truth(self, x: Array, name: str) -> Array:
        """Return ``x.any()`` or ``x.all()`` of bools, as `name` says."""
        return getattr(x, name)()

    def extreme(
        self, x: Array, name: str, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
    ) -> Array:
        """Return ``x.max(axis)`` or ``x.min(axis)``, as `name` says; NaN where there is one."""
        return getattr(x, name)(axis=axis, keepdims=keepdims)

    def arg_extreme(
        self, x: Array, name: str, axis: int | None = None, keepdims: bool = False
    ) -> Array:
        """Return ``x.argmax(axis)`` or ``x.argmin(axis)``: of equals the first, NaN first of all.

        An `axis` of None means x flattened.
        """
        return getattr(x, name)(axis=axis, keepdims=keepdims)

    def log_sum_exp(self, x: Array, axis: tuple[int, ...]) -> Array:
        """Return log(sum(exp(x))) over `axis`, whose dimensions are kept; x is not empty."""
        top = x.real.max(axis=axis, keepdims=True)
        top = self.xp.where(self.xp.isfinite(top), top, top.dtype.type(0))  # inf - inf is NaN
        return self.xp.log(self.add_up(self.xp.exp(x - top), axis, True)) + top

    def cumsum(self, x: Array, axis: int) -> Array:
        """Return the running sum along `axis` in x's dtype."""
        return self.xp.cumsum(x, axis=axis, dtype=x.dtype)

    def log1p(self, x: Array) -> Array:
        """Return log(1 + x), exact near 0."""
        return self.xp.log1p(x)

    def expm1(self, x: Array) -> Array:
        """Return exp(x) - 1, exact near 0."""
        return self.xp.expm1(x)

    def where(self, mask: Array, x: Any, y: Any) -> Array:
        """Return x where `mask` is true, else y (arrays or numbers), broadcast."""
        return self.xp.where(mask, x, y)

    def clip(self, x: Array, low: Any, high: Any) -> Array:
        """Return x limited to [low, high], arrays, numbers or None; NaN stays."""
        y = x if low is None else self.xp.maximum(x, low)
        return y if high is None else self.xp.minimum(y, high)

    def keep_where(self, x: Array, mask: Array) -> Array:
        """Return x where `mask` is true, else 0, even for NaN and infinite x; broadcast."""
        return self.xp.where(mask, x, self.xp.zeros((), x.dtype))

    def accumulate(self, ufunc: str, x: Array, axis: int) -> Array:
        """Running result of an associative ufunc (maximum, logaddexp...) along `axis`."""
        combine, y = getattr(self.xp, ufunc), self.xp.array(x)
        lead = (slice(None),) * axis
        reach = 1  # each pass doubles how far an element sees back
        while reach < x.shape[axis]:
            later, earlier = (*lead, slice(reach, None)), (*lead, slice(None, -reach))
            y[later] = combine(y[later], y[earlier])
            reach *= 2
        return y

    def scatter_add(self, out: Array, index: Any, values: Array) -> None:
        """Do ``out[index] += values`` with repeated indices adding up; `index` as in NumPy."""
        self.xp.add.at(out, index, values)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Return ``a @ b``, made in `out` if given.

        16-bit floats are multiplied in float32, which has kernels.
        """
        if a.dtype.itemsize == 2 and a.dtype.kind in "fV":
            wide = self.xp.matmul(a.astype("float32"), b.astype("float32"))
            if out is None:
                return self.xp.asarray(wide).astype(a.dtype)
            out[...] = wide
            return out
        return self.xp.matmul(a, b, out=out)

    def product(self, x: Array, y: Array) -> Array:
        """Return ``x @ y``; of a batch and a matrix as one large product, not one a matrix."""
        if x.ndim > 2 and y.ndim == 2 and x.flags.c_contiguous:
            rows = self.matmul(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), y)
            return rows.reshape(*x.shape[:-1], y.shape[1])
        return self.matmul(x, y)

    def mean_class_loss(self, x: Array, classes: Array) -> Array | None:
        """Return the mean of -log softmax(x)[i, classes[i]] of x (N, C); None: in the usual way."""
        return None

    def first_outside(self, index: Array, low: int, high: int) -> int | None:
        """Return the first element of `index` outside [low, high), None if there is none."""
        if not index.size or (int(index.min()) >= low and int(index.max()) < high):
            return None
        return int(index[(index < low) | (index >= high)][0])

    def scatter_reduce(self, out: Array, index: Sequence[Array], values: Array, how: str) -> None:
        """Do ``out[index] = reduce(out[index], values)`` with `how` "prod", "amax" or "amin".

        `out` is contiguous and `index` has one array for each of its dimensions.
        """
        xp = self.xp
        flat = xp.zeros(values.shape, "int64")
        for n, positions in zip(out.shape, index, strict=True):
            flat = flat * n + positions
        flat, values = flat.reshape(-1), values.reshape(-1)
        if not flat.size:
            return
        # One round for each time that a place is named: no place is written twice in a round.
        order = xp.argsort(flat)
        run = flat[order]
        first = xp.concatenate([xp.ones(1, "bool"), run[1:] != run[:-1]])
        start = xp.nonzero(first)[0][xp.cumsum(first) - 1]
        turn = xp.arange(run.size) - start
        reduce = {"prod": xp.multiply, "amax": xp.maximum, "amin": xp.minimum}[how]
        memory = out.reshape(-1)
        for i in range(int(turn.max()) + 1):
            now = order[turn == i]
            memory[flat[now]] = reduce(memory[flat[now]], values[now])

    # Whether copies to the device from page-locked host memory need not wait.
    pins_memory: bool = False

    def pinned_empty(self, shape: Sequence[int], np_dtype: Any) -> Any:
        """Return a new NumPy array in page-locked host memory; only if `pins_memory`."""
        raise NotImplementedError

    def sample(self, array: Array, fill: Callable[[Any], Any]) -> None:
        """Let `fill(ndarray)` write random numbers into host memory, then into `array`."""
        host = self.to_host(array)
        fill(host)
        array[...] = self.asarray(host)

    def same_dtype_kind(self, array: Array) -> str:
        """Return NumPy's one-letter kind of the array's dtype, 'f' for bfloat16 too."""
        kind = array.dtype.kind
        return "f" if kind == "V" else str(kind)


BACKEND_BY_TYPE: dict[type, Backend] = {}
_BY_DEVICE: dict[str, Backend] = {}


def register_backend(backend: Backend) -> None:
    """Make a backend reachable by its array type and its device type."""
    BACKEND_BY_TYPE[backend.array_type] = backend
    _BY_DEVICE[backend.device_type] = backend


def backend_of(array: Array) -> Backend:
    """Return the backend whose arrays are of `array`'s type; TypeError if there is none."""
    try:
        return BACKEND_BY_TYPE[type(array)]
    except KeyError:
        for kind, backend in BACKEND_BY_TYPE.items():
            if isinstance(array, kind):
                return backend
    raise TypeError(f"no backend handles arrays of type {type(array).__name__}")


def backend_for(where: device) -> Backend:
    """Return the backend of a device; AssertionError (cuda) or RuntimeError if there is none."""
    try:
        return _BY_DEVICE[where.type]
    except KeyError:
        if where.type == "cuda":
            raise AssertionError("Torch not compiled with CUDA enabled") from None
        raise RuntimeError(f"no backend for device {where}") from None
