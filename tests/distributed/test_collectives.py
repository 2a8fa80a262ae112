import datetime

import numpy as np
import pytest

import disttorch as torch
import disttorch.distributed as dist
from disttorch.distributed.world import _World
from tests.comm.ranks import run_ranks

N = 3


@pytest.fixture(scope="module")
def results():
    """Every façade function once on three ranks; the tests look at one entry each."""
    return run_ranks(N, everything)


def everything(group):
    _World.group = group
    r = dist.get_rank()
    out = {"rank": (r, dist.get_world_size(), dist.get_backend())}
    reductions(r, out)
    gatherings(r, out)
    exchanges(r, out)
    dist.barrier()
    dist.monitored_barrier(timeout=datetime.timedelta(seconds=30))
    out["p2p"] = point_to_point(r)
    out["objects"] = objects(r)
    out["subgroup"] = subgroup(r)
    _World.group = None
    return out


def own(r, n=2):
    return torch.full((n,), float(r + 1))


def reductions(r, out):
    t = own(r)
    dist.all_reduce(t)
    out["all_reduce"] = t.tolist()
    t = own(r)
    work = dist.all_reduce(t, dist.ReduceOp.MAX, async_op=True)
    work.wait()
    out["async"] = (t.tolist(), work.is_completed())
    t = own(r)
    dist.broadcast(t, 1)
    out["broadcast"] = t.tolist()
    t = own(r)
    dist.reduce(t, 2)
    out["reduce"] = t.tolist()


def gatherings(r, out):
    listed = [torch.zeros(2) for _ in range(N)]
    dist.all_gather(listed, own(r))
    out["all_gather"] = [x.tolist() for x in listed]
    flat = torch.zeros(2 * N)
    dist.all_gather_into_tensor(flat, own(r))
    out["all_gather_into_tensor"] = flat.tolist()
    listed = [torch.zeros(2) for _ in range(N)] if r == 0 else None
    dist.gather(own(r), listed, dst=0)
    out["gather"] = listed and [x.tolist() for x in listed]


def exchanges(r, out):
    t = torch.zeros(1)
    dist.scatter(t, [torch.tensor([10.0 * i]) for i in range(N)] if r == 2 else None, src=2)
    out["scatter"] = t.tolist()
    t = torch.zeros(1)
    dist.reduce_scatter(t, [torch.tensor([float(r * i)]) for i in range(N)])
    out["reduce_scatter"] = t.tolist()
    t = torch.zeros(1)
    dist.reduce_scatter_tensor(t, torch.tensor([float(i) for i in range(N)]))
    out["reduce_scatter_tensor"] = t.tolist()
    t = torch.zeros(N)
    dist.all_to_all_single(t, torch.tensor([float(10 * r + i) for i in range(N)]))
    out["all_to_all_single"] = t.tolist()
    listed = [torch.zeros(1) for _ in range(N)]
    dist.all_to_all(listed, [torch.tensor([float(10 * r + i)]) for i in range(N)])
    out["all_to_all"] = [x.item() for x in listed]


def point_to_point(r):
    t = torch.full((2,), float(r))
    for call in (dist.send, dist.recv, dist.isend, dist.irecv):
        with pytest.raises(ValueError, match="Can't specify both group_rank and global_rank"):
            call(t, (r + 1) % N, None, 0, (r + 1) % N)
    if r == 0:
        dist.send(t, dst=1)
        ops = [dist.P2POp(dist.irecv, t, 2, tag=5)]
    elif r == 1:
        sender = dist.recv(t)
        return t.tolist(), sender
    else:
        ops = [dist.P2POp(dist.isend, t, 0, tag=5)]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    return t.tolist()


def objects(r):
    everyone = [None] * N
    dist.all_gather_object(everyone, {"rank": r})
    shared = [None, None] if r else ["a", {1, 2}]
    dist.broadcast_object_list(shared, src=0)
    part = [None]
    if r == 0:
        with pytest.raises(ValueError, match="source rank must provide non-None"):
            dist.scatter_object_list(part)
    dist.scatter_object_list(part, list("xyz") if r == 0 else None, src=0)
    gathered = [None] * N if r == 1 else None
    dist.gather_object(r * r, gathered, dst=1)
    sent, sender = ["kept"], None
    if r == 2:
        sender = dist.recv_object_list(sent)
    elif r == 1:
        dist.send_object_list([{3: "x"}, None], dst=2)
    return everyone, shared, part, gathered, (sent, sender)


def subgroup(r):
    ends = dist.new_group([0, 2])
    t = torch.tensor([float(r)])
    dist.all_reduce(t, group=ends)
    place = dist.get_rank(ends), dist.get_world_size(ends)
    if place[0] >= 0:
        assert dist.get_global_rank(ends, 1) == 2
        assert dist.get_group_rank(ends, 2) == 1
        ends.close()
    return t.item(), place


EXPECTED = {
    "rank": lambda r: (r, 3, "zmq"),
    "all_reduce": lambda r: [6.0, 6.0],
    "async": lambda r: ([3.0, 3.0], True),
    "broadcast": lambda r: [2.0, 2.0],
    "reduce": lambda r: [6.0, 6.0] if r == 2 else [r + 1.0] * 2,
    "all_gather": lambda r: [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]],
    "all_gather_into_tensor": lambda r: [1.0, 1.0, 2.0, 2.0, 3.0, 3.0],
    "gather": lambda r: [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]] if r == 0 else None,
    "scatter": lambda r: [10.0 * r],
    "reduce_scatter": lambda r: [3.0 * r],
    "reduce_scatter_tensor": lambda r: [3.0 * r],
    "all_to_all_single": lambda r: [float(r), 10.0 + r, 20.0 + r],
    "all_to_all": lambda r: [float(r), 10.0 + r, 20.0 + r],
    "p2p": lambda r: [[2.0, 2.0], ([0.0, 0.0], 0), [2.0, 2.0]][r],
    "objects": lambda r: (
        [{"rank": 0}, {"rank": 1}, {"rank": 2}],
        ["a", {1, 2}],
        ["xyz"[r]],
        [0, 1, 4] if r == 1 else None,
        ([{3: "x"}, None], 1) if r == 2 else (["kept"], None),
    ),
    "subgroup": lambda r: [(2.0, (0, 2)), (1.0, (-1, -1)), (2.0, (1, 2))][r],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_collective(results, name):
    assert [result[name] for result in results] == [EXPECTED[name](r) for r in range(N)]


def test_a_script_without_a_launcher_is_a_job_of_one_rank(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    dist.init_process_group()
    try:
        t = torch.tensor([2.0])
        dist.all_reduce(t)
        assert (t.item(), dist.get_rank(), dist.get_world_size()) == (2.0, 0, 1)
        with pytest.raises(ValueError, match="initialize the default process group twice"):
            dist.init_process_group()
    finally:
        dist.destroy_process_group()
    assert not dist.is_initialized()


def test_gloo_is_accepted_with_a_note(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.warns(UserWarning, match="disttorch's own transport"):
        dist.init_process_group("gloo")
    dist.destroy_process_group()


REFUSED = [
    (dict(backend="nccl"), RuntimeError, "doesn't have NCCL built in"),
    (dict(backend="carrier-pigeon"), ValueError, "Invalid backend"),
    (dict(init_method="carrier://1.2.3.4:5"), RuntimeError, "No rendezvous handler for carrier://"),
    (dict(init_method="tcp://1.2.3.4:5"), ValueError, "rank parameter missing"),
    (dict(init_method="tcp://1.2.3.4:5", rank=0), ValueError, "world size parameter missing"),
    (dict(init_method="tcp://1.2.3.4", rank=0, world_size=2), ValueError, "port number missing"),
    (dict(init_method="env://", store=dist.HashStore()), ValueError, "both init_method and store"),
    (dict(rank=0, world_size=2), ValueError, "MASTER_ADDR expected, but not set"),
    (dict(store=dist.HashStore()), ValueError, "both rank= and world_size= are needed"),
]


@pytest.mark.parametrize(("arguments", "kind", "text"), REFUSED)
def test_init_refuses(arguments, kind, text):
    with pytest.raises(kind, match=text):
        dist.init_process_group(**arguments)


def test_calls_without_a_group_are_pytorchs_error():
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        dist.all_reduce(torch.tensor([1.0]))


def test_arrays_are_not_tensors():
    with pytest.raises(TypeError, match=r"Expected parameter `tensor` of type torch.Tensor"):
        dist.all_reduce(np.ones(2))
