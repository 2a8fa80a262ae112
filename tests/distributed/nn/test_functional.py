"""Gradients of collectives, and gradients of these, against finite differences across ranks."""

from __future__ import annotations

import numpy as np
import pytest

import disttorch
import disttorch.distributed as dist
import disttorch.distributed.nn.functional as F
from disttorch.comm.reduce_op import PremulSum, ReduceOp
from disttorch.distributed.world import _World
from tests.comm.ranks import run_ranks

N_RANKS, N_ITEMS = 3, 6
STEP = 1e-5
SUMS = (ReduceOp.SUM, ReduceOp.AVG, PremulSum(0.25))


def zeros(*shape: int) -> disttorch.Tensor:
    return disttorch.zeros(*shape, dtype=disttorch.float64)


def with_splits(x: disttorch.Tensor) -> disttorch.Tensor:
    """Rank r gets r + 1 items of each: a rank's items are split into 1, 2 and 3."""
    mine = dist.get_rank() + 1
    return F.all_to_all_single(zeros(N_RANKS * mine), x, [mine] * N_RANKS, [1, 2, 3])


def on_root(y: disttorch.Tensor) -> disttorch.Tensor:
    """The result; what the other ranks have does not count."""
    return y if dist.get_rank() == 1 else y * 0


# From a tensor of N_ITEMS, a tensor or some; 1 is a root that is neither first nor last.
CALLS = {
    "broadcast": lambda x: F.broadcast(x, 1),
    "gather": lambda x: F.gather(x, 1),
    "scatter": lambda x: F.scatter([x, x * x, 3 * x], 1),
    "all_gather": F.all_gather,
    "all_gather a row": lambda x: F.all_gather(x[::2]),
    "_all_gather_base": lambda x: F._all_gather_base(zeros(N_RANKS * N_ITEMS), x),
    "all_to_all": lambda x: F.all_to_all([zeros(2) for _ in range(N_RANKS)], list(x.split(2))),
    "all_to_all_single": lambda x: F.all_to_all_single(zeros(N_ITEMS), x),
    "all_to_all_single uneven": with_splits,
}
for reduction in SUMS:
    name = reduction.name.partition("(")[0]
    CALLS |= {
        f"all_reduce {name}": lambda x, op=reduction: F.all_reduce(x, op),
        f"reduce {name}": lambda x, op=reduction: on_root(F.reduce(x, 1, op)),
        f"reduce_scatter {name}": lambda x, op=reduction: F.reduce_scatter(
            zeros(N_ITEMS), [x, x * x, 3 * x], op
        ),
    }


def loss_of(call, x: disttorch.Tensor) -> disttorch.Tensor:
    """A number that depends on the ranks' outputs differently on each rank."""
    out = call(x)
    flat = disttorch.cat([y.reshape(-1) for y in out]) if isinstance(out, tuple) else out
    weights = disttorch.arange(flat.numel(), dtype=disttorch.float64).add(1 + dist.get_rank())
    return (weights * flat * flat * flat).sum()


def squared_gradient(call, x: disttorch.Tensor) -> disttorch.Tensor:
    """A number that depends on the gradient of the loss of all ranks."""
    (grad,) = disttorch.autograd.grad(loss_of(call, x), x, create_graph=True)
    return (grad * grad * (1 + dist.get_rank())).sum()


def start(rank: int) -> np.ndarray:
    return np.random.default_rng(rank).uniform(0.5, 1.5, N_ITEMS)


def differences(number, call) -> np.ndarray:
    """By how much the sum of all ranks' numbers rises as one rank after another goes its way."""
    found = np.zeros(N_RANKS)
    for rank in range(N_RANKS):
        ends = []
        for step in (STEP, -STEP):
            at = start(dist.get_rank())
            if rank == dist.get_rank():
                at += step * direction(rank)
            total = number(call, disttorch.from_numpy(at).requires_grad_()).detach().clone()
            dist.all_reduce(total)
            ends.append(float(total))
        found[rank] = (ends[0] - ends[1]) / (2 * STEP)
    return found


def direction(rank: int) -> np.ndarray:
    return np.random.default_rng(10 + rank).normal(size=N_ITEMS)


def gradients(number) -> dict[str, tuple[float, float]]:
    """Of each call this rank's gradient of all ranks' numbers along its way, and the difference."""
    found, rank = {}, dist.get_rank()
    for name, call in CALLS.items():
        x = disttorch.from_numpy(start(rank)).requires_grad_()
        number(call, x).backward()
        found[name] = (x.grad.numpy() @ direction(rank), differences(number, call)[rank])
    return found


@pytest.fixture(scope="module")
def answers():
    def body(group):
        _World.group = dist.GroupMember.WORLD = dist.group.WORLD = group
        return {number.__name__: gradients(number) for number in (loss_of, squared_gradient)}

    return run_ranks(N_RANKS, body)


@pytest.mark.parametrize("order", [loss_of, squared_gradient], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", CALLS)
def test_gradients(answers, order, name: str) -> None:
    for rank, answer in enumerate(answers):
        got, wanted = answer[order.__name__][name]
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5, err_msg=f"rank {rank}")


@pytest.mark.parametrize("op", [ReduceOp.MAX, ReduceOp.MIN, ReduceOp.PRODUCT])
def test_reductions_that_are_no_sums_have_no_gradient(op) -> None:
    def body(group) -> None:
        _World.group = dist.GroupMember.WORLD = dist.group.WORLD = group
        for call in (
            lambda x: F.all_reduce(x, op),
            lambda x: F.reduce(x, 0, op),
            lambda x: F.reduce_scatter(zeros(N_ITEMS), [x, x], op),
        ):
            x = zeros(N_ITEMS).requires_grad_()
            with pytest.raises(RuntimeError, match="has no gradient here"):
                call(x).sum().backward()

    run_ranks(2, body)
