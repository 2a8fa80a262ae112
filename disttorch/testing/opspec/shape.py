"""Rows of `ops/shape*.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, Sample, floats, sample

NO_0D = {"0-d": "needs dimensions"}
NO_EMPTY_0D = {"0-d": "needs dimensions", "empty": "needs elements"}


def calls(*shapes: tuple[int, ...], args: Any = (), **kwargs: Any) -> tuple[Sample, ...]:
    """The same arguments after tensors of several shapes."""
    return tuple(sample(floats(*shape), *args, **kwargs) for shape in shapes)


def _squeeze(x: np.ndarray, dim: Any = None) -> np.ndarray:
    dims = range(x.ndim) if dim is None else np.atleast_1d(dim)
    return np.squeeze(x, tuple(d for d in dims if x.ndim and x.shape[d] == 1))


def _view(x: np.ndarray, *shape: Any) -> np.ndarray:
    return x.reshape(shape)


def _diagonal(x: np.ndarray, offset: int = 0, dim1: int = 0, dim2: int = 1) -> np.ndarray:
    return np.diagonal(x, offset, dim1, dim2)


def _unfold(x: np.ndarray, dim: int, size: int, step: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, size, dim)
    return windows[(*(slice(None),) * (dim % x.ndim), slice(None, None, step))]


def _as_strided(x: np.ndarray, size: Any, stride: Any, offset: int = 0) -> np.ndarray:
    flat = np.ascontiguousarray(x).reshape(-1)[offset:]
    return np.lib.stride_tricks.as_strided(flat, size, [s * x.itemsize for s in stride])


def _narrow(x: np.ndarray, dim: int, start: int, length: int) -> np.ndarray:
    return np.take(x, range(start, start + length), dim)


_LIKE_THE_MEMORY = {
    **NO_EMPTY_0D,
    "strided": "sees the memory, not the elements",
    "fake": "sees the memory",
    "fake_grad": "sees the memory",
}

_VIEW = {
    "strided": "refuses strides that need a copy",
    "gradcheck": "refuses strides that need a copy; `reshape` is the same operator",
}

VIEWS = (
    OpSpec(
        "reshape",
        ref=_view,
        samples=(
            *calls((2, 3), (6,), args=(3, -1)),
            *calls((), (1, 1), args=(1,)),
            *calls((2, 0), args=(0, 5)),
        ),
    ),
    OpSpec(
        "reshape_as",
        ref=lambda x, y: x.reshape(y.shape),
        samples=(
            sample(floats(2, 3), floats(6)),
            sample(floats(), floats(1)),
            sample(floats(0, 2), floats(0)),
        ),
    ),
    OpSpec(
        "view",
        ref=_view,
        samples=(
            *calls((2, 3), (6,), args=(3, -1)),
            *calls((), args=(1, 1)),
            *calls((2, 0), args=(0, 5)),
        ),
        skip=_VIEW,
    ),
    OpSpec(
        "view_as",
        ref=lambda x, y: x.reshape(y.shape),
        samples=(
            sample(floats(2, 3), floats(6)),
            sample(floats(), floats(1)),
            sample(floats(0, 2), floats(0)),
        ),
        skip=_VIEW,
    ),
    OpSpec(
        "expand",
        ref=np.broadcast_to,
        samples=(*calls((), (3,), (2, 1), args=((2, 3),)), *calls((1, 0), args=((2, 0),))),
    ),
    OpSpec(
        "expand_as",
        ref=lambda x, y: np.broadcast_to(x, y.shape),
        samples=(sample(floats(1, 3), floats(2, 3)), sample(floats(), floats(0))),
    ),
    OpSpec("ravel", ref=np.ravel, samples=calls((), (2, 3), (2, 0))),
    OpSpec(
        "flatten",
        ref=lambda x, a=0, b=-1: x.reshape(-1) if a == 0 else x.reshape(x.shape[0], -1),
        samples=(*calls((), (2, 3), (2, 0)), *calls((2, 3, 4), args=(1,))),
    ),
    OpSpec(
        "unflatten",
        ref=lambda x, dim, sizes: x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :]),
        samples=(
            *calls((2, 6), args=(1, (3, 2))),
            *calls((2, 6), args=(1, (3, -1))),
            *calls((0, 3), args=(1, (3, 1))),
        ),
        skip=NO_0D,
    ),
    OpSpec(
        "squeeze",
        ref=_squeeze,
        samples=(
            *calls((), (1, 3, 1), (0, 1)),
            *calls((1, 3, 1), args=(2,)),
            *calls((1, 3, 1), args=((0, 1),)),
        ),
    ),
    OpSpec(
        "unsqueeze",
        ref=np.expand_dims,
        samples=(*calls((), (2, 3), (2, 0), args=(0,)), *calls((2, 3), args=(-1,))),
    ),
    OpSpec(
        "transpose",
        ref=np.swapaxes,
        samples=(*calls((2, 3, 4), (2, 0, 1), args=(0, -1)),),
        aliases=("swapaxes", "swapdims"),
        skip=NO_0D,
    ),
    OpSpec("t", ref=np.transpose, samples=calls((), (3,), (2, 3), (0, 2))),
    OpSpec(
        "permute",
        ref=lambda x, *dims: np.transpose(x, dims),
        samples=(*calls((2, 3, 4), (2, 0, 1), args=(2, 0, 1)), *calls((2, 3), args=(-1, 0))),
        skip=NO_0D,
    ),
    OpSpec(
        "movedim",
        ref=np.moveaxis,
        samples=(
            *calls((2, 3, 4), (2, 0, 1), args=(0, -1)),
            *calls((2, 3, 4), args=((0, 1), (2, 0))),
        ),
        aliases=("moveaxis",),
        skip=NO_0D,
    ),
    OpSpec(
        "adjoint",
        ref=lambda x: np.swapaxes(x, -1, -2),
        samples=calls((2, 3), (2, 0, 3)),
        skip=NO_0D,
    ),
    OpSpec(
        "broadcast_to",
        ref=np.broadcast_to,
        samples=(*calls((), (3,), (2, 1), args=((2, 3),)), *calls((1, 0), args=((2, 0),))),
    ),
    OpSpec(
        "broadcast_tensors",
        ref=lambda x, y: tuple(np.broadcast_arrays(x, y)),
        samples=(sample(floats(2, 1), floats(3)), sample(floats(), floats(0))),
    ),
    *(
        OpSpec(
            f"atleast_{n}d",
            ref=getattr(np, f"atleast_{n}d"),
            samples=calls((), (3,), (2, 3), (2, 0)),
        )
        for n in (1, 2, 3)
    ),
)

REGIONS = (
    OpSpec(
        "select",
        ref=lambda x, dim, i: np.take(x, i, dim),
        samples=(*calls((2, 3, 4), args=(1, -1)), *calls((3, 0), args=(0, 2))),
        skip=NO_0D,
    ),
    OpSpec(
        "narrow",
        ref=_narrow,
        samples=(*calls((3, 4), args=(1, 1, 2)), *calls((3, 0), args=(0, 1, 2))),
        skip=NO_0D,
    ),
    OpSpec(
        "diagonal",
        ref=_diagonal,
        samples=(
            *calls((3, 4), (0, 3)),
            *calls((3, 4), args=(1,)),
            *calls((2, 3, 4), args=(-1, 2, 0)),
            *calls((3, 4), args=(9,)),
        ),
        skip=NO_0D,
    ),
    OpSpec(
        "unfold",
        ref=_unfold,
        samples=(
            *calls((5,), args=(0, 3, 1)),
            *calls((2, 6), args=(-1, 2, 2)),
            *calls((0, 4), args=(1, 2, 2)),
        ),
        skip=NO_0D,
    ),
    OpSpec(
        "as_strided",
        ref=_as_strided,
        samples=(*calls((3, 4), args=((2, 2), (1, 1))), *calls((3, 4), args=((2, 3), (4, 1), 1))),
        skip=_LIKE_THE_MEMORY,
    ),
)

COPIES = (
    OpSpec(
        "flip",
        ref=np.flip,
        samples=(*calls((2, 3), (2, 0), args=((0,),)), *calls((2, 3, 2), args=((0, -1),))),
        skip=NO_0D,
    ),
    OpSpec("fliplr", ref=np.fliplr, samples=calls((2, 3), (0, 2)), skip=NO_0D),
    OpSpec("flipud", ref=np.flipud, samples=calls((3,), (2, 3), (0, 2)), skip=NO_0D),
    OpSpec(
        "roll",
        ref=np.roll,
        samples=(*calls((), (2, 3), (2, 0), args=(1,)), *calls((2, 3), args=((1, -2), (0, 1)))),
    ),
    OpSpec(
        "rot90",
        ref=np.rot90,
        samples=(
            *calls((2, 3), (0, 2)),
            *calls((2, 3), args=(2,)),
            *calls((2, 3, 2), args=(3, (2, 0))),
        ),
        skip=NO_0D,
    ),
    OpSpec("repeat", ref=np.tile, samples=(*calls((), (2,), (2, 3), (0, 2), args=((2, 1, 3),)),)),
    OpSpec("tile", ref=np.tile, samples=(*calls((), (2,), (2, 3), (0, 2), args=((2, 2),)),)),
    OpSpec(
        "repeat_interleave",
        ref=lambda x, n, dim=None: np.repeat(x, n, dim),
        samples=(*calls((), (2, 3), (2, 0), args=(2,)), *calls((2, 3), args=(3,), dim=1)),
    ),
)

SPECS = (*VIEWS, *REGIONS, *COPIES)

EXEMPT = {
    **dict.fromkeys(
        ("H", "T", "mH", "mT", "resize_", "resize_as_", "storage_offset"),
        "needs no gradient of its own (tests/ops/test_shape.py, test_shape_region.py)",
    ),
    **dict.fromkeys(
        ("squeeze_", "swapaxes_", "t_", "transpose_", "unsqueeze_"),
        "the view, taken on by the tensor itself (tests/ops/test_shape_region.py)",
    ),
}
