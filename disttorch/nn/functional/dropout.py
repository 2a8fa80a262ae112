"""Dropout, with the arguments `training` and `inplace` of PyTorch's functionals."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from disttorch.ops import dropout as ops
from disttorch.tensor import Tensor


def _check_probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _functional(name: str, training: bool) -> Callable[..., Tensor]:
    """Make a functional of an operator; `training` is its default."""
    out_of_place, in_place = getattr(ops, name), getattr(ops, f"{name}_")

    def drop(
        input: Tensor, p: float = 0.5, training: bool = training, inplace: bool = False
    ) -> Tensor:
        _check_probability(p)
        return (in_place if inplace else out_of_place)(input, p, training)

    drop.__name__ = drop.__qualname__ = name
    drop.__doc__ = f"{out_of_place.__doc__.partition('.')[0]}.\n\nValueError unless 0 <= p <= 1."
    return drop


dropout = _functional("dropout", training=True)
alpha_dropout = _functional("alpha_dropout", training=False)
feature_alpha_dropout = _functional("feature_alpha_dropout", training=False)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Drop whole channels of input ([N,] C, L); RuntimeError for another rank."""
    _check_probability(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _drop_channels(input, p, training, inplace, batched=input.ndim == 3)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Drop whole channels of input (N, C, H, W); (N, C, L) is taken as 1-d, as in PyTorch."""
    _check_probability(p)
    _warn_of_rank("dropout2d", input, (3, 4), 2)
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one "
            "without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise "
            "dropout behavior, please switch to using dropout1d instead.",
            stacklevel=2,
        )
    return _drop_channels(input, p, training, inplace, batched=True)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Drop whole channels of input ([N,] C, D, H, W)."""
    _check_probability(p)
    _warn_of_rank("dropout3d", input, (4, 5), 3)
    return _drop_channels(input, p, training, inplace, batched=input.ndim == 5)


def _warn_of_rank(name: str, input: Tensor, ranks: tuple[int, int], n: int) -> None:
    if input.ndim not in ranks:
        warnings.warn(
            f"{name}: Received a {input.ndim}-D input to {name}, which is deprecated and will "
            "result in an error in a future release. To retain the behavior and silence this "
            f"warning, please use dropout instead. Note that {name} exists to provide channel-wise "
            f"dropout on inputs with {n} spatial dimensions, a channel dimension, and an optional "
            f"batch dimension (i.e. {ranks[0]}D or {ranks[1]}D inputs).",
            stacklevel=3,
        )


def _drop_channels(input: Tensor, p: float, training: bool, inplace: bool, batched: bool) -> Tensor:
    """Feature dropout; an unbatched image gets a batch of one meanwhile."""
    drop = ops.feature_dropout_ if inplace else ops.feature_dropout
    if batched:
        return drop(input, p, training)
    y = drop(input.unsqueeze(0), p, training)
    return input if inplace else y.squeeze(0)
