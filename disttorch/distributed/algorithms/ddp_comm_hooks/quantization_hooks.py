"""Averages of gradients that travel as bytes: a quarter of the traffic, eight bits of each.

Every rank sends its gradients as integers with the scale that makes the largest 127, of the whole
bucket or of each block of it, and averages what it gets. The state is the process group.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch import distributed
from disttorch.distributed.grad_bucket import GradBucket
from disttorch.futures import Future
from disttorch.tensor import Tensor

_TOP = 127
_CHANNEL = 512  # elements that share a scale


def quantization_pertensor_hook(process_group: Any, bucket: GradBucket) -> Future[Tensor]:
    """Average 8-bit gradients with one scale for each rank's bucket."""
    return _quantised(process_group, bucket, bucket.buffer().numel())


def quantization_perchannel_hook(
    process_group: Any, bucket: GradBucket, bucket_size: int = _CHANNEL
) -> Future[Tensor]:
    """Average 8-bit gradients with one scale for every `bucket_size` elements."""
    return _quantised(process_group, bucket, bucket_size)


def _quantised(process_group: Any, bucket: GradBucket, block: int) -> Future[Tensor]:
    buffer: Any = bucket.buffer()
    group = distributed.resolve_group(process_group)
    flat = buffer.detach().numpy().reshape(-1)
    rows = np.zeros((-(-flat.size // block), block), np.float32)
    rows.reshape(-1)[: flat.size] = flat
    scales = np.abs(rows).max(axis=1, keepdims=True, initial=0) / np.float32(_TOP)
    levels = np.rint(rows / np.where(scales == 0, np.float32(1), scales)).astype(np.int8)
    # One message: scales and levels as bytes.
    own = np.concatenate([scales.reshape(-1).view(np.uint8), levels.reshape(-1).view(np.uint8)])
    every = np.empty(own.size * group.size, np.uint8)
    work = group.all_gather_into(every, own, async_op=True)
    assert work is not None

    def restore(done: Future[Any]) -> Tensor:
        done.value()
        total = np.zeros_like(rows)
        for theirs in every.reshape(group.size, -1):
            scale = theirs[: scales.nbytes].view(np.float32).reshape(scales.shape)
            total += theirs[scales.nbytes :].view(np.int8).reshape(rows.shape) * scale
        total /= group.size
        flat[...] = total.reshape(-1)[: flat.size]
        return buffer

    return work.get_future().then(restore)
