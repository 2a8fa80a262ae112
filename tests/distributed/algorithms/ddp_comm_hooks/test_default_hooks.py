"""Hooks that reduce gradients: results, traffic, registration."""

import re

import numpy as np
import pytest

import disttorch as torch
from disttorch import distributed as dist
from disttorch import nn
from disttorch.distributed.algorithms import ddp_comm_hooks
from disttorch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
from disttorch.distributed.algorithms.ddp_comm_hooks.debugging_hooks import noop_hook
from disttorch.distributed.algorithms.ddp_comm_hooks.quantization_hooks import (
    quantization_perchannel_hook,
    quantization_pertensor_hook,
)
from disttorch.futures import Future
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm.ranks import outcomes_of, run_ranks

BUCKETS_MB = 2e-4


def model_of():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))


def gradients(group, hook=None, state=None, n_steps=1):
    """Gradients of a step, after which every rank must have the same bits."""
    model = DistributedDataParallel(model_of(), process_group=group, bucket_cap_mb=BUCKETS_MB)
    if hook is not None:
        model.register_comm_hook(group if state is None else state, hook)
    rng = np.random.RandomState(group.rank)
    x = torch.from_numpy(rng.standard_normal((3, 6)).astype(np.float32))
    for _ in range(n_steps):
        model.zero_grad()
        model(x).square().sum().backward()
    return [p.grad.numpy().copy() for p in model.parameters()]


def custom(group, bucket):
    total = dist.all_reduce(bucket.buffer(), group=group, async_op=True).get_future()
    return total.then(lambda done: done.value()[0] / dist.get_world_size(group))


def with_a_second_collective(group, bucket):
    """A callback that communicates in turn, and waits."""

    def again(done):
        done.value()
        work = dist.all_reduce(bucket.buffer(), group=group, async_op=True)
        n = dist.get_world_size(group)
        return work.get_future().wait()[0] / n**2

    return dist.all_reduce(bucket.buffer(), group=group, async_op=True).get_future().then(again)


def set_by_hand(group, bucket):
    dist.all_reduce(bucket.buffer(), torch.distributed.ReduceOp.AVG, group=group)
    future = Future()
    future.set_result(bucket.buffer())
    return future


HOOKS = [
    (default_hooks.allreduce_hook, 1e-6),
    (custom, 1e-6),
    (with_a_second_collective, 1e-6),
    (set_by_hand, 1e-6),
    (default_hooks.fp16_compress_hook, 4e-3),
    (default_hooks.bf16_compress_hook, 2e-2),
    (default_hooks.fp16_compress_wrapper(default_hooks.allreduce_hook), 4e-3),
    (default_hooks.bf16_compress_wrapper(custom), 4e-2),
    (quantization_pertensor_hook, 3e-2),
    (quantization_perchannel_hook, 3e-2),
]


@pytest.mark.parametrize("case", range(len(HOOKS)))
def test_averages(case):
    hook, tolerance = HOOKS[case]
    n = 3 if case % 2 else 2
    exact = run_ranks(n, gradients)[0]
    results = run_ranks(n, lambda group: gradients(group, hook, n_steps=2))
    for found, expected in zip(results[0], exact, strict=True):
        scale = max(np.abs(expected).max(), 1.0)
        np.testing.assert_allclose(found, expected, atol=tolerance * scale)
    for other in results[1:]:
        for mine, theirs in zip(results[0], other, strict=True):
            assert mine.tobytes() == theirs.tobytes()


def test_buckets_are_shown_whole_and_in_order():
    def body(group):
        seen = []

        def hook(state, bucket):
            state.append((bucket.index(), bucket.is_last(), bucket.buffer().numel()))
            views = zip(bucket.gradients(), bucket.parameters(), strict=True)
            assert all(g.shape == p.shape for g, p in views)
            assert all(
                np.shares_memory(g.numpy(), bucket.buffer().numpy()) for g in bucket.gradients()
            )
            return default_hooks.allreduce_hook(group, bucket)

        gradients(group, hook, seen)
        return seen

    first, second = run_ranks(2, body)
    assert first == second
    assert [index for index, _, _ in first] == list(range(len(first)))
    assert [last for _, last, _ in first] == [False] * (len(first) - 1) + [True]
    assert len(first) > 1


def test_there_is_nothing_between_gradients():
    def body(group):
        gaps = []

        def hook(state, bucket):
            flat = bucket.buffer().numpy()
            gaps.append(abs(flat).sum() - sum(abs(g.numpy()).sum() for g in bucket.gradients()))
            flat += 1.0
            return noop_hook(None, bucket)

        gradients(group, hook, n_steps=2)
        return gaps

    for gaps in run_ranks(2, body):
        np.testing.assert_allclose(gaps, 0, atol=1e-4)


def test_no_communication_with_the_empty_hook():
    first, second = run_ranks(2, lambda group: gradients(group, noop_hook))
    assert any((a != b).any() for a, b in zip(first, second, strict=True))


# ---- PowerSGD ----------------------------------------------------------------------------------


def power_state(group, rank, **settings):
    settings = {"start_powerSGD_iter": 2, "min_compression_rate": 0.1, **settings}
    return powerSGD_hook.PowerSGDState(group, rank, **settings)


@pytest.mark.parametrize("hook", [powerSGD_hook.powerSGD_hook, powerSGD_hook.batched_powerSGD_hook])
def test_powersgd_of_full_rank_is_exact(hook):
    def body(group):
        exact = gradients(group)
        found = gradients(group, hook, power_state(group, 8), n_steps=4)
        return exact, found

    for exact, found in run_ranks(2, body):
        for a, b in zip(exact, found, strict=True):
            np.testing.assert_allclose(b, a, atol=1e-4)


def test_powersgd_sends_less_and_loses_nothing_over_time():
    n_steps = 200

    def body(group):
        """Mean of the compressed gradients of a constant matrix, and how much was sent."""
        model = nn.Linear(16, 16, bias=False)
        wrapped = DistributedDataParallel(model, process_group=group)
        state = powerSGD_hook.PowerSGDState(group, 1, start_powerSGD_iter=2)
        wrapped.register_comm_hook(state, powerSGD_hook.powerSGD_hook)
        target = np.random.RandomState(group.rank).standard_normal((16, 16)).astype(np.float32)
        total = np.zeros_like(target)
        for _ in range(n_steps):
            model.zero_grad()
            (wrapped(torch.eye(16)).t() * torch.from_numpy(target)).sum().backward()
            total += model.weight.grad.numpy()
        return total / n_steps, target, state.compression_stats()

    (found, a, stats), (other, b, _) = run_ranks(2, body)
    assert found.tobytes() == other.tobytes()
    mean = (a + b) / 2
    assert np.linalg.norm(found - mean) < 0.2 * np.linalg.norm(mean)
    assert stats[0] == 8.0  # 256 elements as two vectors of 16


def test_powersgd_needs_steps_before_it_starts():
    with pytest.raises(ValueError, match="Expect `start_powerSGD_iter` > 1"):
        powerSGD_hook.PowerSGDState(None, start_powerSGD_iter=1)


# ---- registration ------------------------------------------------------------------------------


def not_callable(model):
    model.register_comm_hook(None, 3)


def wrong_bucket(model):
    def hook(state, bucket: int):
        pass

    model.register_comm_hook(None, hook)


def wrong_return(model):
    def hook(state, bucket: dist.GradBucket) -> int:
        return 0

    model.register_comm_hook(None, hook)


def second_hook(model):
    model.register_comm_hook(None, noop_hook)
    model.register_comm_hook(None, noop_hook)


def no_future(model):
    model.register_comm_hook(None, lambda state, bucket: bucket.buffer())
    model(torch.ones(1, 6)).sum().backward()


def raises(model):
    model.register_comm_hook(None, lambda state, bucket: 1 // 0)
    model(torch.ones(1, 6)).sum().backward()


def fails_later(model):
    failed = noop_hook(None, dist.GradBucket(0, torch.ones(1), [], [], True))
    model.register_comm_hook(None, lambda state, bucket: failed.then(lambda done: 1 // 0))
    model(torch.ones(1, 6)).sum().backward()


MISUSE = [
    (not_callable, TypeError, "Communication hook must be callable."),
    (wrong_bucket, ValueError, "bucket annotation should be dist.GradBucket."),
    (wrong_return, ValueError, "return annotation should be torch.futures.Future"),
    (second_hook, RuntimeError, "can only be called once."),
    (no_future, RuntimeError, "callback must return a torch.futures.Future object"),
    (raises, ZeroDivisionError, "integer division"),
    (fails_later, ZeroDivisionError, "integer division"),
]


@pytest.mark.parametrize(
    ("misuse", "kind", "text"), MISUSE, ids=lambda v: getattr(v, "__name__", "")
)
def test_misuse(misuse, kind, text):
    (outcome,) = outcomes_of(
        1, lambda group: misuse(DistributedDataParallel(model_of(), process_group=group))
    )
    assert type(outcome.error) is kind, outcome.trace
    assert re.search(re.escape(text), str(outcome.error))


def test_hooks_by_name():
    def body(group):
        model = DistributedDataParallel(model_of(), process_group=group)
        kinds = ddp_comm_hooks.DDPCommHookType
        ddp_comm_hooks.register_ddp_comm_hook(kinds.FP16_COMPRESS, model, group)
        model(torch.ones(1, 6)).sum().backward()
        return sorted(kind.name for kind in kinds)

    (names,) = run_ranks(1, body)
    assert {"ALLREDUCE", "BF16_COMPRESS", "NOOP", "POWER_SGD"} <= set(names)
