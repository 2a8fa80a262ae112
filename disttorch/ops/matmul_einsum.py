"""Products described by indices: einsum, tensordot, kron; diagonals and traces of matrices."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from disttorch.autograd.op import public
from disttorch.dtype import promote_types
from disttorch.ops.cast import cast
from disttorch.ops.matmul import bmm
from disttorch.ops.out import accepts_out
from disttorch.ops.shape import permute, reshape, unsqueeze
from disttorch.ops.shape_region import Diagonal, Embed, diagonal
from disttorch.tensor import Tensor

__all__ = ["diag", "diag_embed", "diagflat", "einsum", "kron", "tensordot", "trace"]

_LETTERS = string.ascii_uppercase + string.ascii_lowercase


# ---- einsum --------------------------------------------------------------------------------------


def _from_sublists(operands: Sequence[Any]) -> tuple[str, list[Tensor]]:
    """Read ``einsum(a, [0, 1], b, [1, 2], [0, 2])`` as an equation."""
    pairs, rest = operands[: len(operands) // 2 * 2], operands[len(operands) // 2 * 2 :]

    def letters(sublist: Sequence[Any]) -> str:
        return "".join("..." if i is Ellipsis else _LETTERS[i] for i in sublist)

    equation = ",".join(letters(s) for s in pairs[1::2])
    if rest:
        equation += "->" + letters(rest[0])
    return equation, list(pairs[::2])


def _subscripts(term: str, operand: Tensor, k: int, ellipsis_ndim: int) -> list[str]:
    """One label a dimension; those of an ellipsis are numbered from the right."""
    names = term.replace("...", "\0")
    for at, c in enumerate(names):
        if c != "\0" and c not in _LETTERS:
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {at} in the equation string, "
                "subscripts must be in [a-zA-Z]"
            )
    explicit = len(names.replace("\0", ""))
    hidden = operand.ndim - explicit
    if hidden < 0 or (hidden and "\0" not in names):
        more = "" if "\0" in names else " and no ellipsis was given"
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({explicit}) does not match the "
            f"number of dimensions ({operand.ndim}) for operand {k}{more}"
        )
    labels: list[str] = []
    for c in names:
        labels += [f"*{i}" for i in range(hidden - 1, -1, -1)] if c == "\0" else [c]
    return labels


def _output_labels(given: str | None, inputs: list[list[str]]) -> list[str]:
    """Labels of the result: as given, or ellipsis first, then labels that occur once, in order."""
    every = [label for labels in inputs for label in labels]
    hidden = sorted({x for x in every if x[0] == "*"}, key=lambda x: -int(x[1:]))
    if given is None:
        return hidden + sorted(
            {x for x in every if x[0] != "*" and every.count(x) == 1}, key=_LETTERS.index
        )
    labels: list[str] = []
    for c in given.replace("...", "\0"):
        labels += hidden if c == "\0" else [c]
    for label in labels:
        if label not in every:
            raise RuntimeError(
                f"einsum(): output subscript {label} does not appear in the equation for any input "
                "operand"
            )
        if labels.count(label) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {label} appears more than once in the output"
            )
    return labels


def _without_repeats(operand: Tensor, labels: list[str]) -> tuple[Tensor, list[str]]:
    """Replace dimensions with the same label by their diagonal."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            a = labels.index(label)
            b = labels.index(label, a + 1)
            if operand.shape[a] != operand.shape[b]:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for operand 0 but the sizes don't "
                    f"match, {operand.shape[b]} != {operand.shape[a]}"
                )
            operand = diagonal(operand, 0, a, b)
            labels = [x for i, x in enumerate(labels) if i not in (a, b)] + [label]
    return operand, labels


def _check_lengths(operands: list[Tensor], labels: list[list[str]]) -> dict[str, int]:
    """Length of each label; RuntimeError if operands disagree."""
    lengths: dict[str, int] = {}
    for k, (operand, names) in enumerate(zip(operands, labels, strict=True)):
        for name, n in zip(names, operand.shape, strict=True):
            seen = lengths.setdefault(name, n)
            if n not in (seen, 1) and seen != 1:
                raise RuntimeError(
                    f"einsum(): subscript {name} has size {n} for operand {k} which does not "
                    f"broadcast with previously seen size {seen}"
                )
            lengths[name] = n if seen == 1 else seen
    return lengths


def _sum_out(operand: Tensor, labels: list[str], keep: set[str]) -> tuple[Tensor, list[str]]:
    """Sum over the dimensions whose label nobody else needs; integers sum to int64."""
    dims = [i for i, x in enumerate(labels) if x not in keep]
    if dims:
        operand = operand.sum(dims)
    return operand, [x for x in labels if x in keep]


def _arranged(operand: Tensor, labels: list[str], wanted: list[str]) -> Tensor:
    """Dimensions in the order `wanted`, those it has not with length 1."""
    operand = permute(operand, [labels.index(x) for x in wanted if x in labels])
    for i, label in enumerate(wanted):
        if label not in labels:
            operand = unsqueeze(operand, i)
    return operand


def _contract(
    a: Tensor, a_labels: list[str], b: Tensor, b_labels: list[str], keep: set[str]
) -> tuple[Tensor, list[str]]:
    """Multiply two operands, summing over what is not kept, as one batched matrix product."""
    a, a_labels = _sum_out(a, a_labels, keep | set(b_labels))
    b, b_labels = _sum_out(b, b_labels, keep | set(a_labels))
    if a.dtype is not b.dtype and a._array.dtype.kind in "iub":  # one was summed to int64
        kind = promote_types(a.dtype, b.dtype)
        a, b = cast(a, kind), cast(b, kind)
    a, a_labels, b, b_labels = (*_squeezed(a, a_labels, b, b_labels),)
    shared = [x for x in a_labels if x in b_labels]
    batch = [x for x in shared if x in keep]
    summed = [x for x in shared if x not in keep]
    left = [x for x in a_labels if x not in shared]
    right = [x for x in b_labels if x not in shared]
    size = {
        **dict(zip(b_labels, b.shape, strict=True)),
        **dict(zip(a_labels, a.shape, strict=True)),
    }
    n_batch, n_left, n_right, n_summed = (
        math.prod(size[x] for x in group) for group in (batch, left, right, summed)
    )
    x = reshape(_arranged(a, a_labels, batch + left + summed), (n_batch, n_left, n_summed))
    y = reshape(_arranged(b, b_labels, batch + summed + right), (n_batch, n_summed, n_right))
    labels = batch + left + right
    return reshape(bmm(x, y), [size[x] for x in labels]), labels


def _squeezed(
    a: Tensor, a_labels: list[str], b: Tensor, b_labels: list[str]
) -> tuple[Tensor, list[str], Tensor, list[str]]:
    """Drop shared dimensions of length 1 that are broadcast to another length."""
    sizes = [dict(zip(n, t.shape, strict=True)) for t, n in ((a, a_labels), (b, b_labels))]
    out: list[Any] = []
    for t, labels, own, other in ((a, a_labels, *sizes), (b, b_labels, *sizes[::-1])):
        gone = [i for i, x in enumerate(labels) if own[x] == 1 and other.get(x, 1) != 1]
        out += [t.squeeze(gone) if gone else t, [x for i, x in enumerate(labels) if i not in gone]]  # type: ignore[attr-defined]
    return tuple(out)


@public()
def einsum(*args: Any) -> Tensor:
    """Sum of products of tensors, described by labels of their dimensions: ``"ij,jk->ik"``.

    Knows ellipses, repeated labels, an implied result, broadcasting, and labels as lists of ints.
    Raises RuntimeError, with PyTorch's texts, for equations that do not fit the operands.
    """
    if isinstance(args[0], str):
        equation, operands = args[0], list(args[1:])
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = list(operands[0])
    else:
        equation, operands = _from_sublists(args)
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        more = "more" if len(operands) > len(terms) else "fewer"
        raise RuntimeError(
            f"einsum(): {more} operands were provided than specified in the equation"
        )
    labels = [
        _subscripts(term, x, k, 0) for k, (term, x) in enumerate(zip(terms, operands, strict=True))
    ]
    output = _output_labels(right if arrow else None, labels)
    reduced = [_without_repeats(x, names) for x, names in zip(operands, labels, strict=True)]
    _check_lengths([x for x, _ in reduced], [names for _, names in reduced])
    return _evaluate(reduced, output)


def _evaluate(terms: list[tuple[Tensor, list[str]]], output: list[str]) -> Tensor:
    """Contract from left to right."""
    result, names = terms[0]
    for k, (x, other) in enumerate(terms[1:], start=1):
        later = {label for _, labels in terms[k + 1 :] for label in labels}
        result, names = _contract(result, names, x, other, later | set(output))
    result, names = _sum_out(result, names, set(output))
    return _arranged(result, names, output)


# ---- others --------------------------------------------------------------------------------------


@public()
@accepts_out
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sum of products over pairs of dimensions: the last of `a` with the first of `b`, or lists."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        first, second = list(range(-dims, 0)), list(range(dims))
    else:
        first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    for d, e in zip(first, second, strict=True):
        if a.shape[d] != b.shape[e] and 1 not in (a.shape[d], b.shape[e]):
            raise RuntimeError(
                "contracted dimensions need to match, but first has size "
                f"{a.shape[d]} in dim {d} and second has size {b.shape[e]} in dim {e}"
            )
    letters = iter(_LETTERS)
    a_labels, b_labels = ([next(letters) for _ in range(t.ndim)] for t in (a, b))
    for d, e in zip(first, second, strict=True):
        b_labels[e] = a_labels[d]
    output = [x for x in a_labels if x not in b_labels] + [x for x in b_labels if x not in a_labels]
    return cast(_evaluate([(a, a_labels), (b, b_labels)], output), a.dtype)


@public(method=True)
@accepts_out
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker product; the tensor of lower rank gets leading dimensions of length 1."""
    n = max(input.ndim, other.ndim)
    x, y = ((1,) * (n - t.ndim) + tuple(t.shape) for t in (input, other))
    spread = reshape(input, [m for size in x for m in (size, 1)])
    wide = reshape(other, [m for size in y for m in (1, size)])
    product = spread * wide
    return reshape(product, [a * b for a, b in zip(x, y, strict=True)])


@public(method=True)
def trace(input: Tensor) -> Tensor:
    """Sum of the diagonal of a matrix; RuntimeError for other ranks."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return diagonal(input).sum()


@public(method=True)
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last dimension on a diagonal of two new dimensions, zeros elsewhere."""
    ndim = input.ndim + 1
    for d in (dim1, dim2):
        if not -ndim <= d < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but "
                f"got {d})"
            )
    a, b = dim1 % ndim, dim2 % ndim
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    n = input.shape[-1] + abs(offset)
    shape = list(input.shape[:-1])
    for d in sorted((a, b)):
        shape.insert(d, n)
    params = {"offset": offset, "dim1": a, "dim2": b}
    return Embed.apply(input, shape=tuple(shape), view=Diagonal, params=params)


@public(method=True)
@accepts_out
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """Diagonal of a matrix as a copy, or a matrix with a vector on its diagonal."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return input.diagonal(diagonal).clone()


@public(method=True)
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """Matrix with all elements of the tensor on its diagonal."""
    return diag_embed(reshape(input, (-1,)), offset)
