"""Groups under PyTorch's own method names, and backends that somebody else writes."""

import pickle
from datetime import timedelta

import numpy as np
import pytest

import disttorch as torch
import disttorch.distributed as dist
from disttorch.comm.errors import GroupUnusableError
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm.ranks import run_ranks

N = 3


def joined(tmp_path, body, **how):
    """Results of `body(rank)` on ranks that meet in a file."""

    def on_rank(group):
        url = f"file://{tmp_path}/meet"
        dist.init_process_group(
            how.get("backend"), init_method=url, rank=group.rank, world_size=N, timeout=30
        )
        try:
            return body(dist.get_rank())
        finally:
            if how.get("together"):  # nobody leaves before all are done
                group.barrier()
            if dist.is_initialized():
                dist.destroy_process_group()

    return run_ranks(N, on_rank)


def own(rank, n=2):
    return torch.full((n,), float(rank + 1))


def lower_methods(rank):
    pg, t = dist.group.WORLD, own(rank)
    assert isinstance(pg, dist.ProcessGroup) and pg.allreduce([t]).wait()
    opts = dist.BroadcastOptions()
    opts.rootRank = 2
    u = own(rank)
    pg.broadcast([u], opts).wait()
    part = torch.zeros(2)
    pg.reduce_scatter([part], [[own(rank), own(rank) * 2, own(rank) * 3]]).wait()
    whole = torch.zeros(2 * N)
    pg._allgather_base(whole, own(rank)).wait()
    swapped = torch.zeros(N)
    pg.alltoall_base(swapped, torch.arange(3.0) + 10 * rank, [], []).wait()
    work = pg.recv_anysource([torch.zeros(2)], 5)
    pg.send([own(rank)], (rank + 1) % N, 5).wait()
    work.wait()
    pg.barrier().wait()
    # Arrays are still `comm`'s, which wait.
    array = np.full(2, float(rank))
    assert pg.broadcast(array, 1) is None and pg.barrier(async_op=False) is None
    return {
        **{"allreduce": t, "broadcast": u, "reduce_scatter": part, "allgather": whole},
        **{"alltoall": swapped, "sender": work.source_rank(), "array": array},
    }


def test_methods_on_tensors(tmp_path):
    for rank, found in enumerate(joined(tmp_path, lower_methods)):
        assert found.pop("sender") == (rank - 1) % N
        assert {name: value.tolist() for name, value in found.items()} == {
            **{"allreduce": [6.0, 6.0], "broadcast": [3.0, 3.0]},
            **{"reduce_scatter": [6.0 * (rank + 1)] * 2, "allgather": [1.0, 1, 2, 2, 3, 3]},
            **{"alltoall": [rank, 10.0 + rank, 20.0 + rank], "array": [1.0, 1.0]},
        }


def test_a_method_takes_one_tensor_at_a_time():
    dist.init_process_group()
    try:
        with pytest.raises(RuntimeError, match="Expecting one tensor only but got 2"):
            dist.group.WORLD.allreduce([own(0), own(0)])
        with pytest.raises(RuntimeError, match="may only be called on work objects"):
            dist.group.WORLD.allreduce([own(0)]).source_rank()
        with pytest.raises(AttributeError):
            dist.AllreduceOptions().rootRank = 1
    finally:
        dist.destroy_process_group()


def waits_in_vain(rank):
    if rank:
        return None
    with pytest.raises(RuntimeError) as caught:
        dist.monitored_barrier(timeout=timedelta(seconds=0.2))
    return str(caught.value)


def test_a_monitored_barrier_names_all_that_did_not_come(tmp_path):
    told, *_ = joined(tmp_path, waits_in_vain, together=True)
    assert told.startswith("[Rank 0]: Ranks 1, 2 failed to pass monitoredBarrier in 200 ms")


@pytest.mark.parametrize(("wait_all_ranks", "missing"), [(False, "Rank"), (True, "Ranks")])
def test_one_rank_is_named_as_pytorch_names_it(tmp_path, wait_all_ranks, missing):
    def body(rank):
        pair = dist.new_group([0, 1])
        if rank:
            return None
        with pytest.raises(RuntimeError) as caught:
            pair.monitored_barrier(timedelta(seconds=0.2), wait_all_ranks)
        return str(caught.value)

    told, *_ = joined(tmp_path, body, together=True)
    assert told.startswith(f"[Rank 0]: {missing} 1 failed to pass monitoredBarrier in 200 ms")


# ---- backends of one's own --------------------------------------------------------------------


class Done(dist.Work):
    """Ended when it is made."""

    def __init__(self, tensors):
        super().__init__()
        self.outputs = tensors
        self.finish()


class ByStore(dist.ProcessGroup):
    """Everything is pickled into the store: slow, and all that a backend needs to be."""

    def __init__(self, store, rank, size, timeout):
        super().__init__(rank, size)
        self.store, self.calls, self.n_messages = store, 0, {}
        self.closed = False

    def getBackendName(self):
        return "by-store"

    def exchanged(self, value):
        self.calls += 1
        self.store.set(f"{self.calls}/{self.rank()}", pickle.dumps(value))
        keys = [f"{self.calls}/{rank}" for rank in range(self.size())]
        return [pickle.loads(text) for text in self.store.multi_get(keys)]

    def allreduce(self, tensors, opts):
        assert opts.reduceOp == dist.ReduceOp.SUM
        tensors[0].copy_(torch.tensor(np.sum(self.exchanged(tensors[0].numpy()), axis=0)))
        return Done(tensors)

    def broadcast(self, tensors, opts):
        tensors[0].copy_(torch.tensor(self.exchanged(tensors[0].numpy())[opts.rootRank]))
        return Done(tensors)

    def allgather(self, outputs, inputs, opts):
        for out, array in zip(outputs[0], self.exchanged(inputs[0].numpy()), strict=True):
            out.copy_(torch.tensor(array))
        return Done(outputs[0])

    def barrier(self, opts):
        self.exchanged(None)
        return Done([])

    def send(self, tensors, dst, tag):
        at = self.n_messages[dst, tag] = self.n_messages.get((dst, tag), 0) + 1
        name = f"m{self.rank()}/{dst}/{tag}/{at}"
        self.store.set(name, pickle.dumps(tensors[0].numpy()))
        return Done(tensors)

    def recv(self, tensors, src, tag):
        at = self.n_messages[-src - 1, tag] = self.n_messages.get((-src - 1, tag), 0) + 1
        name = f"m{src}/{self.rank()}/{tag}/{at}"
        tensors[0].copy_(torch.tensor(pickle.loads(self.store.get(name))))
        return Done(tensors)

    def shutdown(self):
        self.closed = True


@pytest.fixture
def by_store():
    dist.Backend.register_backend("by-store", ByStore, devices="cpu")
    yield
    dist.Backend._plugins.clear()
    dist.Backend.backend_list.remove("by-store")


def through_a_plugin(rank):
    pg, t = dist.group.WORLD, own(rank)
    dist.all_reduce(t)
    dist.barrier()
    handle = dist.broadcast(own(rank), 1, async_op=True)
    everyone = [None] * N
    dist.all_gather_object(everyone, {"rank": rank, "more": "x" * rank})
    shared = [rank]
    dist.broadcast_object_list(shared, 2)
    if rank == 0:
        dist.send(own(7), 1)
        dist.send_object_list(["hello"], 1)
    got, said = torch.zeros(2), [None]
    if rank == 1:
        dist.recv(got, 0)
        dist.recv_object_list(said, 0)
    pair = dist.new_group([0, 2])
    u = own(rank)
    if rank != 1:
        dist.all_reduce(u, group=pair)
    with pytest.raises(RuntimeError, match="Backend by-store does not support alltoall"):
        dist.all_to_all([torch.zeros(1)] * N, [torch.zeros(1)] * N)
    dist.destroy_process_group()
    assert pg.closed and not dist.is_initialized()
    return {
        "world": (type(pg).__name__, pg.name(), pg.rank(), pg.size(), pg.group_name),
        "sums": (t.tolist(), u.tolist(), handle.result()[0].tolist()),
        "objects": (everyone, shared, said, got.tolist()),
        "group": pair is dist.GroupMember.NON_GROUP_MEMBER,
    }


def test_a_registered_backend_carries_the_collectives(tmp_path, by_store):
    assert dist.is_backend_available("by-store") and dist.Backend("BY-STORE") == "by-store"
    results = joined(tmp_path, through_a_plugin, backend="by-store")
    everyone = [{"rank": r, "more": "x" * r} for r in range(N)]
    for rank, found in enumerate(results):
        assert found["world"] == ("ByStore", "by-store", rank, N, "0")
        pair = [2.0, 2.0] if rank == 1 else [4.0, 4.0]
        assert found["sums"] == ([6.0, 6.0], pair, [2.0, 2.0])
        message = [["hello"], [8.0, 8.0]] if rank == 1 else [[None], [0.0, 0.0]]
        assert list(found["objects"]) == [everyone, [2], *message]
        assert found["group"] == (rank == 1)


def trained(rank):
    model = torch.nn.Linear(3, 2)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.arange(p.numel()).reshape(p.shape) * 0.1 * (rank + 1))
    ddp = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        ddp(torch.ones(2, 3) * (rank + step)).square().mean().backward()
        optimizer.step()
    return [p.tolist() for p in model.parameters()]


def test_ddp_trains_over_a_registered_backend(tmp_path, by_store):
    (tmp_path / "own").mkdir()
    theirs, ours = joined(tmp_path, trained, backend="by-store"), joined(tmp_path / "own", trained)
    assert theirs[0] == theirs[1] == theirs[2]
    for mine, other in zip(theirs[0], ours[0], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6)


def test_the_longer_form_of_a_creator(by_store):
    told = {}

    def create(options, pg_options):
        told.update(vars(options), pg_options=pg_options)
        return ByStore(options.store, options.group_rank, options.group_size, options.timeout)

    with pytest.warns(UserWarning, match="Device capability of long unspecified"):
        dist.Backend.register_backend("long", create, extended_api=True)
    dist.init_process_group("cpu:long", pg_options="mine", timeout=9)
    t = own(0)
    dist.all_reduce(t)
    dist.destroy_process_group()
    dist.Backend.backend_list.remove("long")
    assert (told["group_rank"], told["group_size"], told["pg_options"]) == (0, 1, "mine")
    assert told["timeout"].total_seconds() == 9 and told["global_ranks_in_group"] == [0]
    assert t.tolist() == [1.0, 1.0]


def test_a_creator_must_make_a_group(by_store):
    dist.Backend.register_backend("wrong", lambda *args: 5, devices=["cpu"])
    with pytest.raises(TypeError, match=r"not derived from torch\.distributed\.ProcessGroup"):
        dist.init_process_group("wrong")
    dist.Backend.backend_list.remove("wrong")
    assert not dist.is_initialized()


# ---- groups of some ranks ---------------------------------------------------------------------


def alone_and_in_pairs(rank):
    single = dist.new_group([rank], use_local_synchronization=True)
    t = own(rank)
    dist.all_reduce(t, group=single)
    found = [t.tolist(), dist.get_process_group_ranks(single), None]
    if rank:
        # The others never hear of this group.
        pair = dist.new_group([2, 1], use_local_synchronization=True)
        again = dist.new_group([1, 2], use_local_synchronization=True)
        u = own(rank)
        dist.all_reduce(u, group=pair)
        dist.broadcast(u, 2, group=again)
        found[2] = u.tolist(), dist.get_process_group_ranks(pair), pair.group_name
    dist.barrier()
    return found


def test_groups_that_only_their_ranks_make(tmp_path):
    results = joined(tmp_path, alone_and_in_pairs)
    assert [found[:2] for found in results] == [[[r + 1.0] * 2, [r]] for r in range(N)]
    assert results[1][2] == results[2][2] == ([5.0, 5.0], [1, 2], "local/1,2/1")


def shrunk(rank):
    before = dist.group.WORLD
    with pytest.raises(RuntimeError, match="is in the exclusion list"):
        dist.shrink_group([rank])
    for ranks, kind in (([], ValueError), ([9], ValueError), ([1, 1], ValueError), (1, TypeError)):
        with pytest.raises(kind):
            dist.shrink_group(ranks)
    if rank == 1:
        dist.barrier()
        return None
    dist.barrier()
    after = dist.shrink_group([1])
    assert after is dist.group.WORLD and dist.get_rank() == (0 if rank == 0 else 1)
    t = own(rank)
    dist.all_reduce(t)
    with pytest.raises(GroupUnusableError):
        before.all_reduce(np.ones(1))
    return t.tolist(), dist.get_world_size(), after.group_desc


def test_ranks_go_on_without_one(tmp_path):
    results = joined(tmp_path, shrunk)
    assert results == [
        ([4.0, 4.0], 2, "default:shrunken"),
        None,
        ([4.0, 4.0], 2, "default:shrunken"),
    ]


def test_a_scheme_of_ones_own(tmp_path):
    seen = []

    def meet(url, timeout):
        seen.append((url, timeout.total_seconds()))
        yield dist.HashStore(), 0, 1

    dist.register_rendezvous_handler("mine", meet)
    with pytest.raises(RuntimeError, match="handler for mine:// already registered"):
        dist.register_rendezvous_handler("mine", meet)
    with pytest.raises(RuntimeError, match="handler for tcp:// already registered"):
        dist.register_rendezvous_handler("tcp", meet)
    dist.init_process_group(init_method="mine://there/x?a=b", rank=0, world_size=1, timeout=7)
    assert dist.get_world_size() == 1
    dist.destroy_process_group()
    assert seen == [("mine://there/x?a=b&rank=0&world_size=1", 7.0)]


def flattened(rank):
    mesh = dist.init_device_mesh("cpu", (1, 3), mesh_dim_names=("a", "b"))
    flat = mesh["a", "b"]._flatten("all")
    t = own(rank)
    dist.all_reduce(t, group=flat.get_group())
    assert mesh["all"] is flat is mesh._flatten("all")
    named = dist.DeviceMesh.from_group(
        [mesh.get_group("b")], "cpu", [0, 1, 2], mesh_dim_names=("x",)
    )
    return t.tolist(), flat.mesh_dim_names, named.get_group("x") is mesh.get_group("b")


def test_a_mesh_becomes_one_dimension(tmp_path):
    assert joined(tmp_path, flattened) == [([6.0, 6.0], ("all",), True)] * N
