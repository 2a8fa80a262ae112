"""NumPy arrays as the CPU backend."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from disttorch.backends.base import Backend, register_backend
from disttorch.backends.cpu import (
    blas,
    exponentials,
    extremes,
    gelu,
    group_norm,
    lapack,
    log_sum_exp,
    masks,
    norm,
    pool,
    sums,
)
from disttorch.backends.cpu import softmax as softmax_rows
from disttorch.backends.cpu.scatter import scatter_add
from disttorch.backends.cpu.threads import get_num_threads
from disttorch.backends.cpu.workers import run_pieces
from disttorch.device import device
from disttorch.errors import MissingExtraError

_CPU = device("cpu")
_FEW = 64  # elements that Python looks at sooner than NumPy is called


def _late(module: str, name: str) -> Any:
    """A function of a neighbouring module that is imported when it is first called."""
    found: list[Callable[..., Any]] = []

    def call(*args: Any) -> Any:
        if not found:
            found.append(getattr(import_module(f"disttorch.backends.cpu.{module}"), name))
        return found[0](*args)

    return staticmethod(call)


@lru_cache(1 << 12)
def _broadcast_strides(
    own: tuple[int, ...], strides: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Strides, in bytes, of an array of shape `own` that is seen in another one."""
    lead = len(shape) - len(own)
    steps = [s if n == m else 0 for s, n, m in zip(strides, own, shape[lead:], strict=True)]
    return (*(0,) * lead, *steps)


_SMALL_PRODUCT = 1 << 12  # elements


class NumpyBackend(Backend):
    """Arrays in host memory."""

    device_type = "cpu"
    xp = np
    array_type = np.ndarray

    conv_forward = _late("onednn.convolution", "conv_forward")
    conv_backward_input = _late("onednn.convolution", "conv_backward_input")
    conv_backward_weight = _late("onednn.convolution", "conv_backward_weight")
    max_pool = staticmethod(pool.max_pool)
    max_pool_taps = staticmethod(pool.max_pool_taps)
    tap_indices = staticmethod(pool.tap_indices)
    pool_scatter = staticmethod(pool.pool_scatter)
    pool_gather = staticmethod(pool.pool_gather)
    sum_pool = staticmethod(pool.sum_pool)
    sum_pool_backward = staticmethod(pool.sum_pool_backward)
    batch_norm_forward = staticmethod(norm.batch_norm_forward)
    batch_norm_backward = staticmethod(norm.batch_norm_backward)
    row_norm_forward = staticmethod(norm.row_norm_forward)
    row_norm_backward = staticmethod(norm.row_norm_backward)
    group_norm_forward = staticmethod(group_norm.group_norm_forward)
    group_norm_backward = staticmethod(group_norm.group_norm_backward)
    softmax = staticmethod(softmax_rows.softmax)
    log_softmax = staticmethod(softmax_rows.log_softmax)
    softmax_backward = staticmethod(softmax_rows.softmax_backward)
    log_softmax_backward = staticmethod(softmax_rows.log_softmax_backward)
    mean_class_loss = staticmethod(softmax_rows.mean_class_loss)
    mean_class_slope = staticmethod(softmax_rows.mean_class_slope)
    add_up = staticmethod(sums.add_up)
    sum_squares = staticmethod(sums.sum_squares)
    extreme = staticmethod(extremes.extreme)
    arg_extreme = staticmethod(extremes.arg_extreme)
    cumsum = staticmethod(sums.cumsum)
    log1p = staticmethod(exponentials.log1p)
    expm1 = staticmethod(exponentials.expm1)
    where = staticmethod(masks.where)
    clip = staticmethod(masks.clip)
    keep_where = staticmethod(masks.keep_where)
    fused_block = 1 << 17  # measured: smaller blocks cost more in calls than the cache saves

    # A second thread is there after 0.1 ms, and holds the first one up: on 800 k floats relu took
    # 0.7 ms in two threads and 0.15 in one, tanh 1.5 and 2.6.
    pieces_from = 1 << 17
    light_pieces_from = 1 << 22
    piece = 1 << 17

    run_pieces = staticmethod(run_pieces)
    n_threads = staticmethod(get_num_threads)
    forward_kernel = _late("jit.pointwise", "forward_kernel")
    backward_kernel = _late("jit.pointwise", "backward_kernel")
    optimizer_step = _late("jit.steps", "optimizer_step")
    recurrent_kernel = _late("jit.recurrent", "recurrent_kernel")
    _shared_memory = _late("shared_memory", "empty")

    def __init__(self) -> None:
        super().__init__()
        self.F.where = masks.where
        self.F.sum, self.F.cumsum = sums.sum_like_torch, sums.cumsum_like_torch
        self.F.log1p, self.F.expm1 = exponentials.log1p, exponentials.expm1
        self.F.expand = self.broadcast_writable

    def device_of(self, array: np.ndarray) -> device:
        """Return ``device("cpu")``."""
        return _CPU

    def sigmoid(self, x: np.ndarray) -> np.ndarray:
        """1 / (1 + exp(-x)); an array as operand takes half the time of a number."""
        if not x.ndim or x.dtype.char not in "fd":
            return super().sigmoid(x)
        y = np.negative(x)
        np.exp(y, y)
        np.add(y, sums.ones((), x.dtype.char), y)
        return np.reciprocal(y, y)

    def gelu(self, x: np.ndarray) -> np.ndarray:
        """Return x times the normal distribution's probability of values below x."""
        return gelu.gelu(x) if gelu.fits(x) else super().gelu(x)

    def gelu_slope(self, x: np.ndarray) -> np.ndarray:
        """Return the derivative of `gelu`."""
        return gelu.gelu_slope(x) if gelu.fits(x) else super().gelu_slope(x)

    def truth(self, x: np.ndarray, name: str) -> np.ndarray:
        """Return ``x.any()`` or ``x.all()`` of bools: what these call, with less ado."""
        if x.size:
            return extremes.extreme(x, "max" if name == "any" else "min")
        found: np.ndarray = (np.logical_or if name == "any" else np.logical_and).reduce(x, None)
        return found

    def matmul(self, a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return ``a @ b``; of small matrices `dot` makes it in a third of the time."""
        if out is None and a.ndim <= 2 >= b.ndim and a.size + b.size <= _SMALL_PRODUCT:
            if a.dtype is b.dtype and a.dtype.char in "fd" and a.ndim and b.ndim:
                return a.dot(b)
        return super().matmul(a, b, out)

    def product(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``x @ y``, by `dot` at once if both are small and of one dtype."""
        if x.ndim <= 2 >= y.ndim and x.size + y.size <= _SMALL_PRODUCT and x.dtype.char in "fd":
            if x.ndim and y.ndim and x.dtype is y.dtype:
                return x.dot(y)
        return super().product(x, y)

    def log_sum_exp(self, x: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
        """Return log(sum(exp(x))) over `axis`, whose dimensions are kept; x is not empty."""
        y = sums.log_sum_exp_of_rows(x, axis)
        if y is None:
            y = log_sum_exp.of_columns(x, axis)
        return super().log_sum_exp(x, axis) if y is None else y

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

    def as_strided(
        self, array: np.ndarray, shape: Sequence[int], strides: Sequence[int], offset: int = 0
    ) -> np.ndarray:
        """View of the memory `offset` bytes after `array`'s first element; `strides` in bytes."""
        # Four times quicker than np.lib.stride_tricks, and the view's base stays an ndarray.
        if array.flags.c_contiguous and not offset and array.size:
            memory = array.reshape(-1).view(np.uint8)
            try:
                return np.ndarray(shape, array.dtype, memory, 0, strides)
            except ValueError:  # the view goes on behind `array`, in the rest of its storage
                pass
        root = self._root(array)
        if not (root.flags.c_contiguous or root.flags.f_contiguous) or not root.size:
            return super().as_strided(array, shape, strides, offset)
        memory = root.reshape(-1, order="A").view(np.uint8)
        offset += self.data_ptr(array) - self.data_ptr(root)
        return np.ndarray(shape, array.dtype, memory, offset, strides)

    def is_shared(self, array: np.ndarray) -> bool:
        """Whether the memory is a mapped file or anonymous mapping."""
        owner = self._root(array).base
        return isinstance(getattr(owner, "obj", owner), mmap.mmap)

    def shared_copy(self, array: np.ndarray) -> np.ndarray:
        """Return a copy, of the same strides, in memory that other processes can share."""
        order = sorted(range(array.ndim), key=lambda d: -array.strides[d])
        dense = array.transpose(order)
        copy = self._shared_memory(array.nbytes).view(array.dtype).reshape(dense.shape)
        copy[...] = dense
        return copy.transpose(sorted(range(array.ndim), key=order.__getitem__))

    def mapped(self, path: Any, shared: bool | None, size: int, np_dtype: Any) -> np.ndarray:
        """Return the first `size` elements of a file as an array on its pages.

        `shared`: writes go to the file, which is made or grown as needed.
        """
        if shared and (
            not os.path.exists(path) or os.path.getsize(path) < size * np_dtype.itemsize
        ):
            with open(path, "ab") as file:
                file.truncate(size * np_dtype.itemsize)
        return np.asarray(np.memmap(path, np_dtype, "r+" if shared else "c", shape=(size,)))

    def broadcast_writable(self, array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Broadcast view that keeps the writable flag of its source."""
        # A tenth of the time of np.broadcast_to, which every sum's gradient would have to wait for.
        if type(array) is not np.ndarray or not array.flags.c_contiguous or not array.size:
            return super().broadcast_writable(np.asarray(array), shape)
        strides = _broadcast_strides(array.shape, array.strides, tuple(shape))
        return np.ndarray(shape, array.dtype, array, 0, strides)

    def accumulate(self, ufunc: str, x: np.ndarray, axis: int) -> np.ndarray:
        """Running result of an associative ufunc along `axis`."""
        result: np.ndarray = getattr(np, ufunc).accumulate(x, axis=axis)
        return result

    def first_outside(self, index: np.ndarray, low: int, high: int) -> int | None:
        """Return the first element of `index` outside [low, high), None if there is none."""
        if 0 < index.size <= _FEW:
            values = (index if index.ndim == 1 else index.reshape(-1)).tolist()
            if low <= min(values) and max(values) < high:
                return None
        return super().first_outside(index, low, high)

    def scatter_add(self, out: np.ndarray, index: Any, values: Any) -> None:
        """Do ``out[index] += values`` with repeated indices adding up."""
        scatter_add(out, index, values)

    def scatter_reduce(self, out: np.ndarray, index: Any, values: Any, how: str) -> None:
        """Do ``out[index] = reduce(out[index], values)`` with `how` "prod", "amax" or "amin"."""
        {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[how].at(out, index, values)

    def scientific_library(self, name: str, *arrays: np.ndarray) -> np.ndarray:
        """Call a function of `scipy.special`; MissingExtraError where SciPy is not installed."""
        try:
            from scipy import special  # noqa: PLC0415 - optional, and slow to import
        except ImportError:
            raise MissingExtraError("scipy", "special", f"the special function {name}") from None
        return np.asarray(getattr(special, name)(*arrays))

    def sample(self, array: np.ndarray, fill: Callable[[Any], Any]) -> None:
        """Let `fill(ndarray)` write random numbers into `array`."""
        fill(array)

    def lu_factor(self, a: np.ndarray) -> Any:
        """Factorise (..., m, n) by LAPACK where NumPy brings it: packed L and U, pivots, info."""
        return lapack.lu_factor(a) or super().lu_factor(a)

    def solve_triangular(
        self, a: np.ndarray, b: np.ndarray, upper: bool, unitriangular: bool
    ) -> np.ndarray:
        """Return x with ``a x = b`` for triangular a, by BLAS where NumPy brings it."""
        x = lapack.solve_triangular(a, b, upper, unitriangular)
        return super().solve_triangular(a, b, upper, unitriangular) if x is None else x

    def add_scaled(self, y: np.ndarray, x: np.ndarray, a: float) -> bool:
        """Do ``y += a * x`` in one pass by BLAS, or return False where it does not."""
        return blas.add_scaled(y, x, a)

    def axpby(self, a: float, x: np.ndarray, b: float, y: np.ndarray, scratch: np.ndarray) -> None:
        """Do ``y = a * x + b * y`` in place, by BLAS where it pays."""
        if not blas.axpby(a, x, b, y):
            super().axpby(a, x, b, y, scratch)


# PyTorch's arithmetic is silent about division by zero, overflow and NaN; entering np.errstate in
# every op would cost as much as a small op itself, so the setting is made once, for the thread
# that imports disttorch (threads of our own call this again).
def silence_floating_point_warnings() -> None:
    """Let NumPy compute inf and nan without warnings in the current context."""
    np.seterr(divide="ignore", over="ignore", under="ignore", invalid="ignore")


CPU = NumpyBackend()
register_backend(CPU)
get_num_threads()  # sets how long OpenBLAS's threads wait, before they have anything to do
silence_floating_point_warnings()
