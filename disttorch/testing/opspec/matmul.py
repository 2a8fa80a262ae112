"""Rows of `ops/matmul*.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.ops.matmul import linear
from disttorch.testing.opspec.shape import NO_0D, calls
from disttorch.testing.opspec.spec import OpSpec, Sample, complexes, floats, sample


def _operands(*pairs: Any, **kwargs: Any) -> tuple[Sample, ...]:
    return tuple(sample(*(floats(*shape) for shape in shapes), **kwargs) for shapes in pairs)


def _added(name: str, product: Any, good: Any, empty: Any) -> OpSpec:
    return OpSpec(
        name,
        ref=lambda z, x, y, beta=1, alpha=1: beta * z + alpha * product(x, y),
        samples=(*_operands(good, empty), *_operands(good, beta=0.5, alpha=-2)),
        skip={**NO_0D, "inplace": "the result is larger than a broadcast tensor"},
    )


def _linear(x: np.ndarray, w: np.ndarray, b: Any = None) -> np.ndarray:
    return x @ w.T + (0 if b is None else b)


def _diag_embed(x: np.ndarray, offset: int = 0) -> np.ndarray:
    n = x.shape[-1] + abs(offset)
    out = np.zeros((*x.shape[:-1], n, n), x.dtype)
    rows = np.arange(x.shape[-1]) + max(-offset, 0)
    out[..., rows, rows + offset] = x
    return out


PRODUCTS = (
    OpSpec(
        "matmul",
        ref=np.matmul,
        samples=(
            *_operands(((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4))),
            *_operands(((3,), (2, 3, 2)), ((2, 2, 3), (3,)), ((2, 2, 3), (3, 2))),
            *_operands(((2, 3), (2, 3, 2)), ((2, 1, 2, 3), (2, 3, 2)), ((2, 0), (0, 3))),
            *_operands(((0, 3), (3, 2))),
            sample(complexes(2, 3), complexes(3, 2)),
        ),
        skip=NO_0D,
    ),
    OpSpec("mm", ref=np.matmul, samples=_operands(((2, 3), (3, 4)), ((2, 0), (0, 3))), skip=NO_0D),
    OpSpec(
        "bmm",
        ref=np.matmul,
        samples=_operands(((2, 2, 3), (2, 3, 2)), ((0, 2, 3), (0, 3, 1))),
        skip=NO_0D,
    ),
    OpSpec("mv", ref=np.matmul, samples=_operands(((2, 3), (3,)), ((2, 0), (0,))), skip=NO_0D),
    OpSpec("dot", ref=np.dot, samples=_operands(((3,), (3,)), ((0,), (0,))), skip=NO_0D),
    OpSpec(
        "vdot",
        ref=np.vdot,
        skip=NO_0D,
        samples=(*_operands(((3,), (3,)), ((0,), (0,))), sample(complexes(3), complexes(3))),
    ),
    OpSpec(
        "inner",
        ref=np.inner,
        samples=_operands(((3,), (3,)), ((2, 3), (4, 3)), ((), (2,)), ((0, 3), (2, 3))),
    ),
    OpSpec(
        "outer",
        ref=np.outer,
        samples=_operands(((2,), (3,)), ((0,), (3,))),
        aliases=("ger",),
        skip=NO_0D,
    ),
    OpSpec(
        "kron",
        ref=np.kron,
        samples=_operands(((2, 3), (3, 2)), ((2,), (2, 2)), ((), (2,)), ((0,), (2,))),
    ),
    _added("addmm", np.matmul, ((4,), (2, 3), (3, 4)), ((2, 0), (2, 3), (3, 0))),
    _added("addmv", np.matmul, ((2,), (2, 3), (3,)), ((0,), (0, 3), (3,))),
    _added("addr", np.outer, ((2, 3), (2,), (3,)), ((0, 3), (0,), (3,))),
    _added("baddbmm", np.matmul, ((4,), (2, 2, 3), (2, 3, 4)), ((1,), (0, 2, 3), (0, 3, 4))),
    _added(
        "addbmm",
        lambda x, y: np.matmul(x, y).sum(0),
        ((2, 4), (3, 2, 3), (3, 3, 4)),
        ((2, 0), (3, 2, 3), (3, 3, 0)),
    ),
    OpSpec(
        "linear",
        ref=_linear,
        samples=_operands(
            *(((2, 3), (4, 3), (4,)), ((3,), (4, 3), (4,)), ((2, 2, 3), (4, 3), (4,))),
            *(((2, 2, 3), (4, 3)), ((0, 3), (4, 3), (4,))),
        ),
        op=linear,
        skip=NO_0D,
    ),
)


DESCRIBED = (
    OpSpec(
        "einsum",
        ref=np.einsum,
        samples=(
            sample("ij,jk->ik", floats(2, 3), floats(3, 2)),
            sample("...ij,...kj->...ik", floats(2, 2, 3), floats(2, 3)),
            sample("ij,jk,kl", floats(2, 3), floats(3, 2), floats(2, 2)),
            sample("ii->i", floats(3, 3)),
            sample("ij->", floats(2, 3)),
            sample("bi,bj->bij", floats(2, 2), floats(2, 3)),
            sample(",i->i", floats(), floats(3)),
            sample("ij,j->i", floats(0, 3), floats(3)),
        ),
    ),
    OpSpec(
        "tensordot",
        ref=lambda x, y, dims=2: np.tensordot(x, y, dims),
        samples=(
            *_operands(((2, 3), (3, 4)), dims=1),
            *_operands(((2, 3), (3, 2)), dims=([0, 1], [1, 0])),
            *_operands(((2,), (3,)), ((), ()), ((0,), (2,)), dims=0),
        ),
    ),
    OpSpec("trace", ref=np.trace, samples=calls((3, 3), (2, 4), (0, 2)), skip=NO_0D),
    OpSpec(
        "diag",
        ref=np.diag,
        samples=(*calls((3,), (2, 3), (0,)), *calls((3,), (2, 3), args=(1,))),
        skip=NO_0D,
    ),
    OpSpec(
        "diag_embed",
        ref=_diag_embed,
        samples=(*calls((3,), (2, 3), (2, 0)), *calls((2, 3), args=(-1,))),
        skip=NO_0D,
    ),
    OpSpec(
        "diagflat",
        ref=lambda x, k=0: _diag_embed(x.reshape(-1), k),
        samples=(*calls((), (3,), (2, 2), (0,)), *calls((2,), args=(1,))),
    ),
)

SPECS = (*PRODUCTS, *DESCRIBED)

EXEMPT = dict.fromkeys(("__matmul__", "__rmatmul__"), "``@`` (tests/ops/test_matmul.py)")
