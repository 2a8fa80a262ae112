import os
import pickle

import disttorch as torch
from disttorch import nn
from disttorch.distributed.world import GroupMember, _World
from disttorch.nn.parallel import DataParallel, data_parallel
from tests.comm.ranks import run_ranks
from tests.launcher.jobs import run


def test_one_process_runs_the_module():
    inner = nn.Linear(2, 1)
    model = nn.DataParallel(inner, device_ids=[0, 1], output_device=0, dim=0)
    x = torch.ones(3, 2)
    assert torch.equal(model(x), inner(x))
    assert list(model.state_dict()) == ["weight", "bias"]
    model.load_state_dict({f"module.{k}": v * 0 for k, v in inner.state_dict().items()})
    assert model.weight.tolist() == [[0.0, 0.0]]
    assert [name for name, _ in model.named_parameters()] == ["module.weight", "module.bias"]
    assert torch.equal(data_parallel(inner, (x,), [0]), inner(x))
    assert isinstance(pickle.loads(pickle.dumps(model)), DataParallel)


def test_ranks_average_gradients_and_may_leave_parameters_unused():
    def body(group):
        _World.group = GroupMember.WORLD = group
        torch.manual_seed(group.rank)
        inner = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Dropout(0.5))
        inner.unused = nn.Parameter(torch.ones(1))
        inner.forward = lambda x: inner[1](inner[0](x))
        model = nn.DataParallel(inner).eval()
        modes = [inner.training, model.training]
        model(torch.tensor([[2.0 * group.rank, 1.0]])).sum().backward()
        _World.group = GroupMember.WORLD = None
        return modes, inner[0].weight.grad.tolist(), inner.unused.grad, inner[0].weight.tolist()

    first, second = run_ranks(2, body)
    assert first == second
    assert first[:3] == ([False, False], [[1.0, 1.0]], None)


def test_a_rank_of_a_job_joins_it(monkeypatch):
    joined = []
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda: joined.append(True))
    DataParallel(nn.Linear(1, 1))
    assert joined == [True]


SCRIPT = """
import disttorch as torch
if __name__ == "__main__":
    model = torch.nn.DataParallel(torch.nn.Linear(1, 1, bias=False), device_ids=[0])
    rank = torch.distributed.get_rank()
    model(torch.full((1, 1), 2.0 * rank)).sum().backward()
    print("average", model.weight.grad.item())
"""


def test_a_script_without_process_groups_under_the_launcher(tmp_path):
    ended = run(tmp_path, SCRIPT, "--nproc", "2")
    assert ended.stdout.count("average 1.0") == 2, ended
