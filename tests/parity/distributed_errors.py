"""Wrong calls that both libraries must refuse alike."""

from __future__ import annotations

import datetime
import importlib
from typing import Any

# `t` and `d` are the library and its distributed module, `r` the rank, `z` makes zeros.
WITHOUT_A_GROUP = """
d.get_rank()
d.get_world_size()
d.get_backend()
d.all_reduce(z(2))
d.broadcast(z(2), 0)
d.barrier()
d.monitored_barrier()
d.new_group([0])
d.destroy_process_group()
d.get_process_group_ranks(None)
d.get_global_rank(d.group.WORLD, 0)
d.send(z(2), 1)
d.isend(z(2), 1)
d.irecv(z(2), 1)
d.all_gather_object([None], 1)
d.broadcast_object_list([1], 0)
d.is_initialized()
d.group.WORLD
d.init_process_group(5)
d.init_process_group('gloo', 'env://', store=d.HashStore(), rank=0, world_size=1)
d.init_process_group('gloo', 'pigeon://there', rank=0, world_size=1)
d.init_process_group('gloo', 'tcp://127.0.0.1:1', rank=0)
d.init_process_group('gloo', 'tcp://127.0.0.1:1', world_size=2)
d.init_process_group('gloo', 'tcp://127.0.0.1', rank=0, world_size=1)
d.init_process_group('gloo', 'file://', rank=0, world_size=1)
d.init_process_group('gloo', 'file:///tmp/x', rank=0)
d.init_process_group('gloo', 'file:///tmp/x', world_size=1)
d.init_process_group('gloo', rank=0, world_size=2)
d.init_process_group('gloo', timeout=5)
d.init_process_group('pigeon')
d.Backend(5)
d.Backend('GLOO')
d.get_node_local_rank()
d.get_node_local_rank(3)
d.is_torchelastic_launched()
wrap(t.nn.Linear(1, 1))
t.nn.SyncBatchNorm(3)(z(2, 3))
"""

WITH_A_GROUP = """
d.all_reduce([1.0])
d.all_reduce(None)
d.all_reduce(z(2), op='sum')
d.all_reduce(z(2), op=None)
d.all_reduce(z(2).to(t.complex64), d.ReduceOp.MAX)
d.all_reduce(z(2).to(t.complex64), d.ReduceOp.PRODUCT)
d.all_reduce(z(2, 3).t())
d.all_reduce(z(4)[::2])
d.all_reduce(z(2), group=5)
d.all_reduce(z(0))
d.all_reduce(t.zeros(2, requires_grad=True))
d.broadcast(z(2), 7)
d.broadcast(z(2), -1)
d.broadcast(z(2), '0')
d.broadcast(z(2))
d.broadcast(z(2), src=0, group_src=0)
d.broadcast(z(2, 3).t(), 0)
d.broadcast([z(2)], 0)
d.reduce(z(2), 7)
d.reduce(z(2))
d.reduce(z(2), 0, 'sum')
d.reduce(z(2), dst=0, group_dst=0)
d.all_gather(z(2), z(2))
d.all_gather([1, 2], z(2))
d.all_gather([z(2)], z(2))
d.all_gather([], z(2))
d.all_gather([z(2)] * 3, z(2))
d.all_gather([z(2), z(2).double()], z(2))
d.all_gather([z(2).double(), z(2).double()], z(2))
d.all_gather([z(2), z(2)], None)
d.all_gather([z(4)[::2], z(4)[::2]], z(2))
d.all_gather([z(2), z(2)], z(4)[::2])
d.all_gather_into_tensor(z(3), z(2))
d.all_gather_into_tensor(z(4).double(), z(2))
d.all_gather_into_tensor([z(4)], z(2))
d.all_gather_into_tensor(z(8)[::2], z(2))
d.gather(z(2), [z(2)], dst=0) if r == 0 else 0
d.gather(z(2), [z(2), z(3)], dst=0) if r == 0 else 0
d.gather(z(2), [z(2), z(2).double()], dst=0) if r == 0 else 0
d.gather(z(2), None, dst=0) if r == 0 else 0
d.gather(z(2), [z(2), z(2)], dst=0) if r == 1 else 0
d.gather(z(2), 5, dst=0) if r == 0 else 0
d.gather(z(2), [z(2), z(2)], dst=5)
d.gather(None, [z(2), z(2)], dst=0)
d.scatter(z(2), [z(2)], src=0) if r == 0 else 0
d.scatter(z(2), [z(2), z(3)], src=0) if r == 0 else 0
d.scatter(z(2), [z(2).double(), z(2)], src=0) if r == 0 else 0
d.scatter(z(2), None, src=0) if r == 0 else 0
d.scatter(z(2), [z(2), z(2)], src=0) if r == 1 else 0
d.scatter(z(2), 5, src=0) if r == 0 else 0
d.scatter(z(2), [z(2), z(2)], src=5)
d.reduce_scatter(z(2), z(4))
d.reduce_scatter(z(2), [z(2)])
d.reduce_scatter(z(2), [z(2), z(2).double()])
d.reduce_scatter(None, [z(2), z(2)])
d.reduce_scatter_tensor(z(2), z(3))
d.reduce_scatter_tensor(z(2), z(4).double())
d.reduce_scatter_tensor(z(2), [z(4)])
d.all_to_all([z(2)], [z(2), z(2)])
d.all_to_all([z(2), z(2)], [z(2)])
d.all_to_all(z(2), [z(2), z(2)])
d.all_to_all([z(2), z(2)], [z(2), z(2).double()])
d.all_to_all_single(z(3), z(3))
d.all_to_all_single(z(4), z(4).double())
d.all_to_all_single(z(4), z(4), [4], [4])
d.all_to_all_single(z(4), [z(4)])
d.send(z(2), r)
d.send([z(2)], 1 - r)
d.send(z(2))
d.isend(z(2), r)
d.isend(None, 1 - r)
d.recv(None)
d.P2POp(d.broadcast, z(2), 0)
d.P2POp(d.isend, [1], 1 - r)
d.batch_isend_irecv(5)
d.batch_isend_irecv([1])
d.all_gather_object([None] * 2, lambda: 0)
d.gather_object('x', None, dst=0) if r == 0 else 0
d.broadcast_object_list('text', src=0)
d.broadcast_object_list([1, 2], src=7)
d.broadcast_object_list([1, 2])
d.scatter_object_list([], ['a', 'b'] if r == 0 else None, src=0)
d.scatter_object_list(None, ['a', 'b'], src=0)
d.send_object_list([1], r)
d.new_group([5])
d.new_group([0, 0])
d.new_group([0, 1, 0])
d.new_group([-1])
d.new_group('01')
d.new_group([])
d.new_group([0], backend='pigeon')
d.new_group([0], timeout=5)
d.new_subgroups(3)
d.new_subgroups(0)
d.new_subgroups(-1)
d.new_subgroups_by_enumeration([])
d.new_subgroups_by_enumeration(None)
d.new_subgroups_by_enumeration([[0], [0]])
d.split_group(d.group.WORLD, [])
d.init_process_group('gloo')
d.get_group_rank(d.group.WORLD, 5)
d.get_rank('x')
d.get_backend(5)
d.monitored_barrier(timeout=5)
d.barrier(device_ids=3)
d.barrier(device_ids=[0])
d.all_reduce_coalesced([z(2), z(2).double()])
d.all_reduce_coalesced(z(2))
d.destroy_process_group(5)
d.init_device_mesh('cpu', (3,))
d.init_device_mesh('cpu', (2,), mesh_dim_names=('a', 'b'))
d.init_device_mesh('cpu', (2, 1), mesh_dim_names=('a', 'a'))
d.init_device_mesh('cpu', (2,)).get_group('x')
d.init_device_mesh('cpu', (2,), mesh_dim_names=('a',))['b']
d.init_device_mesh('cpu', (1, 2)).get_local_rank()
d.init_device_mesh('cpu:0', (2,))
d.get_rank(only_0)
d.get_world_size(only_0)
d.all_reduce(z(2), group=only_0)
d.broadcast(z(2), 0, group=only_0)
d.broadcast(z(2), 1, group=only_0)
d.all_gather([z(2)], z(2), group=only_0)
d.barrier(only_0)
d.send(z(2), 0, group=only_0)
d.all_gather_object([None], 1, group=only_0)
d.get_global_rank(only_0, 0) if r == 0 else 0
d.get_global_rank(only_0, 3) if r == 0 else 0
d.get_group_rank(only_0, 1) if r == 0 else 0
d.get_process_group_ranks(only_0)
d.get_backend(only_0)
d.destroy_process_group(only_0)
d.all_reduce(z(2), async_op=True).wait()
d.all_reduce(z(2), async_op=True).wait(datetime.timedelta(seconds=5))
d.all_reduce(z(2), async_op=True).wait(5)
twice(d.all_reduce(z(2), async_op=True))
completed(d.all_reduce(z(2), async_op=True)).is_completed()
completed(d.all_reduce(z(2), async_op=True)).is_success()
completed(d.all_reduce(z(2), async_op=True)).exception()
completed(d.all_reduce(z(2), async_op=True)).result()
completed(d.broadcast(z(2), 0, async_op=True)).result()
d.all_reduce(z(2) + 1, async_op=True).get_future().wait()
d.broadcast(z(2), 0, async_op=True).get_future().wait()
d.reduce(z(2), 0, async_op=True).get_future().wait()
d.all_gather([z(2), z(2)], z(2) + r, async_op=True).get_future().wait()
d.all_gather_into_tensor(z(4), z(2) + r, async_op=True).get_future().wait()
d.gather(z(2), [z(2), z(2)] if r == 0 else None, 0, async_op=True).get_future().wait()
d.scatter(z(2), [z(2), z(2)] if r == 0 else None, 0, async_op=True).get_future().wait()
d.reduce_scatter(z(2), [z(2), z(2)], async_op=True).get_future().wait()
d.reduce_scatter_tensor(z(2), z(4), async_op=True).get_future().wait()
d.all_to_all([z(2), z(2)], [z(2), z(2)], async_op=True).get_future().wait()
d.all_to_all_single(z(4), z(4), async_op=True).get_future().wait()
str(d.ReduceOp.SUM)
repr(d.ReduceOp.AVG)
d.ReduceOp.SUM == d.ReduceOp.SUM
d.ReduceOp('SUM')
d.ReduceOp(d.ReduceOp.SUM) == d.ReduceOp.SUM
len({d.ReduceOp.SUM, d.ReduceOp.MAX, d.ReduceOp.SUM})
d.group.WORLD.rank() == r
d.group.WORLD.size()
d.group.WORLD.name()
d.get_backend()
d.get_backend(d.group.WORLD) == d.Backend.GLOO
d.get_backend_config()
d.get_pg_count() >= 1
d.get_process_group_ranks(d.group.WORLD)
wrap(t.nn.ReLU())
wrap(5)
wrap(t.nn.Linear(1, 1), device_ids=[0, 1])
wrap(t.nn.Linear(1, 1), device_ids=[0])
wrap(t.nn.Linear(1, 1), output_device=0)
wrap(t.nn.Linear(1, 1), bucket_cap_mb=-1)
wrap(t.nn.Linear(1, 1), process_group=5)
wrap(t.nn.Linear(1, 1), None, process_group=d.group.WORLD, device_mesh=mesh(2))
wrap(t.nn.Linear(1, 1), device_mesh=mesh(2, 1))
wrap(t.nn.Linear(1, 1), param_to_hook_all_reduce=1)
wrap(t.nn.Linear(1, 1), delay_all_reduce_named_params=5)
wrap(t.nn.Linear(1, 1), mixed_precision=5)
wrap(t.nn.LazyLinear(1))
zero([])
zero(3)
zero([1])
zero([z(1), {'params': [z(2)]}])
zero(z(1))
zero([z(1)]).state_dict()
ddp().register_comm_hook(None, 5)
ddp().register_comm_hook(None, bad_hook)
ddp().join(enable=5)
ddp().no_such
ddp().module.weight.shape
ddp().no_sync(5)
pickled(ddp())
sorted(ddp().module.state_dict())
d.nn.functional.all_reduce(5)
"""


def names(torch: Any, dist: Any, rank: int) -> dict[str, Any]:
    """What the calls may use."""

    def twice(work: Any) -> bool:
        return bool(work.wait()) and bool(work.wait())

    def completed(work: Any) -> Any:
        work.wait()
        return work

    def bad_hook(state: object, bucket: int) -> Any:
        return None

    def pickled(model: Any) -> str:
        import pickle

        return type(pickle.loads(pickle.dumps(model))).__name__

    def zero(params: Any) -> Any:
        optim = importlib.import_module(f"{torch.__name__}.distributed.optim")
        return optim.ZeroRedundancyOptimizer(params, torch.optim.SGD, lr=0.1)

    return {
        "t": torch,
        "d": dist,
        "r": rank,
        "z": torch.zeros,
        "datetime": datetime,
        "mesh": lambda *shape: dist.init_device_mesh("cpu", shape),
        "twice": twice,
        "completed": completed,
        "bad_hook": bad_hook,
        "pickled": pickled,
        "zero": zero,
        "wrap": torch.nn.parallel.DistributedDataParallel,
        "ddp": lambda: torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1)),
    }


def plain(value: Any) -> Any:
    """What JSON has of a value; of an object no more than that it is one."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if isinstance(value, (bool, int, float, str, type(None))) else "an object"


def answers(calls: str, space: dict[str, Any], after_each: Any = None) -> dict[str, Any]:
    """The value of each call, or the kinds and the first line of its error."""
    out = {}
    for call in calls.strip().splitlines():
        try:
            out[call] = plain(eval(call, space))
        except Exception as error:
            kinds = [kind.__name__ for kind in type(error).__mro__]
            out[call] = {"raises": kinds, "text": str(error).partition("\n")[0]}
        if after_each is not None:
            after_each()
    return out
