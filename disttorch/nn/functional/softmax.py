"""Softmax and its relatives."""

from __future__ import annotations

import warnings

from disttorch.dtype import dtype as Dtype
from disttorch.ops import softmax as ops
from disttorch.random import fill_exponential
from disttorch.tensor import Tensor


def _guessed_dim(name: str, ndim: int, stacklevel: int) -> int:
    """The dimension PyTorch guesses where none is given, with its warning."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as an argument.",
        UserWarning,
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Dtype | None = None
) -> Tensor:
    """Return exp(input) normalised to sum 1 along `dim`; computed in `dtype` if given."""
    if dim is None:
        dim = _guessed_dim("softmax", input.ndim, _stacklevel)
    return ops.softmax(input, dim, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Dtype | None = None
) -> Tensor:
    """Return log(softmax(input, dim)), computed without overflow or loss of digits."""
    if dim is None:
        dim = _guessed_dim("log_softmax", input.ndim, _stacklevel)
    return ops.log_softmax(input, dim, dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Dtype | None = None
) -> Tensor:
    """Return softmax(-input, dim)."""
    if dim is None:
        dim = _guessed_dim("softmin", input.ndim, _stacklevel)
    return ops.softmax(-input, dim, dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Sample from the Gumbel-softmax distribution of `logits` along `dim`, at temperature `tau`.

    With `hard` the samples are one-hot, with the gradient of the soft ones.
    """
    backend = logits.backend
    noise = backend.xp.empty_like(logits._array)
    backend.sample(noise, lambda a: fill_exponential(a, 1.0))
    soft = ops.softmax((logits - Tensor._wrap(backend.xp.log(noise))) / tau, dim)
    if not hard:
        return soft
    best = soft._array.argmax(axis=dim, keepdims=True)
    classes = backend.xp.arange(soft.shape[dim]).reshape(
        [-1 if d == soft._dim(dim) else 1 for d in range(soft.ndim)]
    )
    one_hot = Tensor._wrap((best == classes).astype(soft._array.dtype))
    return one_hot - soft.detach() + soft
