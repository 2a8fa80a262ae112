"""Averages in full precision, and in half of it on the way.

`process_group` is the state of all of these: None means the default group.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch import distributed
from disttorch.autograd.grad_mode import no_grad
from disttorch.comm.reduce_op import ReduceOp
from disttorch.distributed.grad_bucket import GradBucket
from disttorch.dtype import bfloat16, dtype, float16
from disttorch.futures import Future
from disttorch.tensor import Tensor

Hook = Callable[[Any, GradBucket], Future[Tensor]]


def averaged(tensor: Tensor, group: Any) -> Future[Tensor]:
    """A Future of `tensor`, overwritten with its average over the ranks."""
    work = distributed.all_reduce(tensor, ReduceOp.AVG, group=group, async_op=True)
    assert work is not None
    return work.get_future().then(lambda done: (done.value(), tensor)[1])


def allreduce_hook(process_group: Any, bucket: GradBucket) -> Future[Tensor]:
    """Average the bucket as it would be without a hook."""
    return averaged(bucket.buffer(), process_group)


def _compressed(process_group: Any, bucket: GradBucket, to: dtype) -> Future[Tensor]:
    """Average the bucket in another dtype."""
    buffer: Any = bucket.buffer()
    # Divided first: a sum over many ranks could leave the range of 16 bits.
    small = (buffer / distributed.get_world_size(process_group)).to(to)
    work = distributed.all_reduce(small, group=process_group, async_op=True)
    assert work is not None

    def decompress(done: Future[Any]) -> Tensor:
        done.value()
        with no_grad():
            buffer.copy_(small)
        return buffer

    return work.get_future().then(decompress)


def fp16_compress_hook(process_group: Any, bucket: GradBucket) -> Future[Tensor]:
    """Average the bucket in float16: half the traffic, eleven bits of each gradient."""
    return _compressed(process_group, bucket, float16)


def bf16_compress_hook(process_group: Any, bucket: GradBucket) -> Future[Tensor]:
    """Average the bucket in bfloat16: half the traffic, eight bits of each gradient."""
    return _compressed(process_group, bucket, bfloat16)


def _wrapper(hook: Hook, to: dtype) -> Hook:
    def wrapped(state: Any, bucket: GradBucket) -> Future[Tensor]:
        original: Any = bucket.buffer()
        bucket.set_buffer(original.to(to))

        def decompress(done: Future[Any]) -> Tensor:
            with no_grad():
                original.copy_(done.value())
            return original

        return hook(state, bucket).then(decompress)

    return wrapped


def fp16_compress_wrapper(hook: Hook) -> Hook:
    """Return `hook` working on gradients in float16, with a result in the original dtype."""
    return _wrapper(hook, float16)


def bf16_compress_wrapper(hook: Hook) -> Hook:
    """Return `hook` working on gradients in bfloat16, with a result in the original dtype."""
    return _wrapper(hook, bfloat16)
