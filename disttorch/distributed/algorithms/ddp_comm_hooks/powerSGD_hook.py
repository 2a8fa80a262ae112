"""PowerSGD: gradients as products of two thin matrices, found by one step of power iteration.

A matrix M (n, m) travels as P = M Q (n, r) and Q = M^T P (m, r), with r far below n and m. What is
lost is added to the gradients of the next step, so nothing is lost for good
(Vogels et al. 2019, https://arxiv.org/abs/1905.13727).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from disttorch import distributed
from disttorch.comm.reduce_op import ReduceOp
from disttorch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from disttorch.distributed.grad_bucket import GradBucket
from disttorch.futures import Future
from disttorch.tensor import Tensor

Array = np.ndarray


class PowerSGDState:
    """Settings of `powerSGD_hook` and what it remembers between steps; one for each model.

    `matrix_approximation_rank` is r. The first `start_powerSGD_iter` steps are not compressed, nor
    are tensors that would not shrink by `min_compression_rate`. `use_error_feedback` keeps what is
    lost for the next step, `warm_start` the last Q to begin with. ValueError if either is on and
    `start_powerSGD_iter` is below 2.
    """

    def __init__(
        self,
        process_group: Any,
        matrix_approximation_rank: int = 1,
        start_powerSGD_iter: int = 1_000,
        min_compression_rate: float = 2,
        use_error_feedback: bool = True,
        warm_start: bool = True,
        orthogonalization_epsilon: float = 0,
        random_seed: int = 0,
        compression_stats_logging_frequency: int = 10_000,
        batch_tensors_with_same_shape: bool = False,
    ) -> None:
        if (use_error_feedback or warm_start) and start_powerSGD_iter <= 1:
            raise ValueError(
                "Expect `start_powerSGD_iter` > 1 if `use_error_feedback` or `warm_start` is "
                "enabled, because PowerSGD can only be applied after the first two iterations in "
                "DDP."
            )
        self.process_group = process_group
        self.matrix_approximation_rank = matrix_approximation_rank
        self.start_powerSGD_iter = start_powerSGD_iter
        self.min_compression_rate = min_compression_rate
        self.use_error_feedback = use_error_feedback
        self.warm_start = warm_start
        self.orthogonalization_epsilon = orthogonalization_epsilon
        self.rng = np.random.RandomState(random_seed)  # alike on all ranks
        self.compression_stats_logging_frequency = compression_stats_logging_frequency
        self.batch_tensors_with_same_shape = batch_tensors_with_same_shape
        self.error_dict: dict[int, Array] = {}
        self.q_memory_dict: dict[int, list[Array]] = {}
        self.iter = 0
        self.total_numel_before_compression = 0
        self.total_numel_after_compression = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "process_group": None}

    def compression_stats(self) -> tuple[float, int, int]:
        """Return (rate, elements before, elements after) of all steps that were compressed."""
        before, after = self.total_numel_before_compression, self.total_numel_after_compression
        return (before / after if after else 0.0), before, after

    def maybe_increase_iter(self, bucket: GradBucket) -> None:
        """Count a step when its last bucket comes."""
        if bucket.is_last():
            self.iter += 1


def powerSGD_hook(state: PowerSGDState, bucket: GradBucket) -> Future[Tensor]:
    """Average the bucket, its matrices as products of rank r and the rest as it is."""
    return _compressed(state, bucket, _matrices)


def batched_powerSGD_hook(state: PowerSGDState, bucket: GradBucket) -> Future[Tensor]:
    """Average the bucket as one square matrix, padded with zeros: faster, and far less exact."""
    return _compressed(state, bucket, _square)


def _compressed(state: PowerSGDState, bucket: GradBucket, split: Any) -> Future[Tensor]:
    index, buffer = bucket.index(), bucket.buffer()
    warming_up = state.iter < state.start_powerSGD_iter
    state.maybe_increase_iter(bucket)
    if warming_up:
        return allreduce_hook(state.process_group, bucket)
    flat: Array = buffer.detach().numpy().reshape(-1)
    before = None
    if state.use_error_feedback:
        if index in state.error_dict:
            flat += state.error_dict[index]
        before = flat.copy()
    matrices, others = split(state, bucket, flat)
    group = distributed.resolve_group(state.process_group)
    starts = _starts(state, index, matrices)
    lefts = [matrix @ q for matrix, q in zip(matrices, starts, strict=True)]
    message = _joined([*others, *lefts], flat.dtype)
    state.total_numel_before_compression += flat.size
    state.total_numel_after_compression += message.size + sum(q.size for q in starts)
    first = group.all_reduce(message, ReduceOp.AVG, async_op=True)
    assert first is not None

    def finish(done: Future[Any]) -> Tensor:
        done.value()
        _take_apart(message, [*others, *lefts])
        bases = [_orthogonal(p, state.orthogonalization_epsilon) for p in lefts]
        rights = [m.T @ p for m, p in zip(matrices, bases, strict=True)]
        second = _joined(rights, flat.dtype)
        if second.size:
            group.all_reduce(second, ReduceOp.AVG)
        _take_apart(second, rights)
        for matrix, p, q in zip(matrices, bases, rights, strict=True):
            np.matmul(p, q.T, out=matrix)
        if split is _square:
            flat[...] = matrices[0].reshape(-1)[: flat.size]
        if state.warm_start:
            state.q_memory_dict[index] = rights
        if before is not None:
            state.error_dict[index] = np.subtract(before, flat, out=before)
        return buffer

    return first.get_future().then(finish)


def _matrices(
    state: PowerSGDState, bucket: GradBucket, flat: Array
) -> tuple[list[Array], list[Array]]:
    """Views of the gradients that are worth compressing, as matrices, and of the others."""
    matrices, others = [], []
    for gradient in bucket.gradients():
        view: Array = gradient.detach().numpy()
        rows = view.reshape(view.shape[0], -1) if view.ndim > 1 and view.size else view
        rank = state.matrix_approximation_rank * state.min_compression_rate
        if rows.ndim == 2 and sum(rows.shape) * rank < rows.size:
            matrices.append(rows)
        else:
            others.append(view)
    return matrices, others


def _square(
    state: PowerSGDState, bucket: GradBucket, flat: Array
) -> tuple[list[Array], list[Array]]:
    """A copy of the whole bucket as a square matrix."""
    side = math.isqrt(max(flat.size - 1, 0)) + 1
    square = np.zeros((side, side), flat.dtype)
    square.reshape(-1)[: flat.size] = flat
    return [square], []


def _starts(state: PowerSGDState, index: int, matrices: Sequence[Array]) -> list[Array]:
    """The Q of each matrix to begin with: the last one, or random and orthogonal."""
    if index in state.q_memory_dict:
        known = state.q_memory_dict[index]
    else:
        known = [
            state.rng.standard_normal(
                (m.shape[1], min(state.matrix_approximation_rank, *m.shape))
            ).astype(m.dtype)
            for m in matrices
        ]
    return [_orthogonal(q, state.orthogonalization_epsilon) for q in known]


def _orthogonal(matrix: Array, epsilon: float) -> Array:
    """Orthonormal columns that span those of a matrix; `epsilon` keeps zero columns finite."""
    basis, _ = np.linalg.qr(matrix + matrix.dtype.type(epsilon) if epsilon else matrix)
    return np.ascontiguousarray(basis)


def _joined(arrays: Sequence[Array], dtype: Any) -> Array:
    return np.concatenate([np.empty(0, dtype), *(a.reshape(-1) for a in arrays)])


def _take_apart(message: Array, arrays: Sequence[Array]) -> None:
    """Copy a message back over the arrays it was joined from."""
    offset = 0
    for array in arrays:
        array[...] = message[offset : offset + array.size].reshape(array.shape)
        offset += array.size
