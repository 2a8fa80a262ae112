"""What programs import from PyTorch's inner module."""

import pytest

from disttorch import distributed as dist
from disttorch.distributed import constants, distributed_c10d


def test_names_are_those_of_the_package():
    assert dist.distributed_c10d is distributed_c10d
    for name in ("ReduceOp", "Work", "get_rank", "DeviceMesh", "default_pg_timeout"):
        assert getattr(distributed_c10d, name) is getattr(dist, name)
    assert set(distributed_c10d.__all__) > {
        "all_reduce",
        "init_process_group",
        "_rank_not_in_group",
    }
    assert all(hasattr(distributed_c10d, name) for name in distributed_c10d.__all__)
    assert constants.default_pg_timeout == dist.default_pg_timeout


def test_the_default_group():
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        distributed_c10d._get_default_group()
    dist.init_process_group()
    try:
        group = distributed_c10d._get_default_group()
        assert group is dist.group.WORLD is dist.GroupMember.WORLD
        assert not distributed_c10d._rank_not_in_group(group)
    finally:
        dist.destroy_process_group()
    assert dist.GroupMember.WORLD is None
    assert distributed_c10d._rank_not_in_group(dist.GroupMember.NON_GROUP_MEMBER)
