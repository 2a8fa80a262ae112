"""Several tensors in one call, and the factor of PREMUL_SUM."""

import pytest

import disttorch as torch
import disttorch.distributed as dist
from disttorch.comm.errors import CollectiveMismatchError
from disttorch.distributed.world import _World
from tests.comm.ranks import run_ranks


def body(group):
    _World.group = dist.GroupMember.WORLD = group
    r = group.rank
    a, b = torch.full((2,), r + 1.0), torch.full((2, 2), 10.0 * (r + 1))
    dist.all_reduce_coalesced([a, b])
    later = [torch.full((2,), r + 1.0), torch.full((1,), 5.0)]
    work = dist.all_reduce_coalesced(later, async_op=True)
    work.wait()
    gathered = [[torch.zeros(2), torch.zeros(1)] for _ in range(2)]
    dist.all_gather_coalesced(gathered, [torch.full((2,), float(r)), torch.ones(1)])
    half = torch.tensor([4.0, 8.0], dtype=torch.float16)
    dist.all_reduce(half, dist.premul_sum(0.25))
    with pytest.raises(ValueError, match="tensors with different dtypes"):
        dist.all_reduce_coalesced([a, torch.ones(1, dtype=torch.int64)])
    with pytest.raises(ValueError, match="needs its factor"):
        dist.all_reduce(a, dist.ReduceOp.PREMUL_SUM)
    with dist._coalescing_manager(async_ops=True) as manager:
        manager.append(dist.all_reduce(b, async_op=True))
    manager.wait()
    return a.tolist(), b.tolist(), [t.tolist() for t in later], gathered[1][0].tolist(), \
        half.tolist(), len(work.get_future().wait())  # fmt: skip


def mismatched(group):
    _World.group = dist.GroupMember.WORLD = group
    first, last = torch.ones(2 + group.rank), torch.ones(2)
    with pytest.raises(CollectiveMismatchError, match="all_reduce"):
        dist.all_reduce_coalesced([first, last], async_op=True).wait()
    dist.all_reduce(last)
    return last.tolist()


def test_an_error_of_any_is_the_error_of_all():
    results = run_ranks(2, mismatched)
    assert results[0] == results[1]


def test_coalesced():
    for result in run_ranks(2, body):
        assert result == (
            [3.0, 3.0],
            [[60.0, 60.0], [60.0, 60.0]],
            [[3.0, 3.0], [10.0]],
            [1.0, 1.0],
            [2.0, 4.0],
            2,
        )
