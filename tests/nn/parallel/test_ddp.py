import numpy as np
import pytest

import disttorch as torch
from disttorch import nn, optim
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm.ranks import outcomes_of, run_ranks

N_STEPS, GLOBAL_BATCH = 20, 12


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 8)
        self.norm = nn.LayerNorm(8)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.norm(torch.relu(self.first(x))))


def batches():
    rng = np.random.default_rng(0)
    for _ in range(N_STEPS):
        x = rng.standard_normal((GLOBAL_BATCH, 5), np.float32)
        yield torch.from_numpy(x), torch.from_numpy(rng.integers(0, 3, GLOBAL_BATCH))


def train(model, rank=0, size=1):
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for x, y in batches():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rank::size]), y[rank::size])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [p.detach().numpy().copy() for p in model.parameters()]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("bucket_cap_mb", [25, 0.0001])
def test_ranks_train_as_one_process_does(size, bucket_cap_mb):
    def body(group):
        torch.manual_seed(group.rank)  # rank 0's parameters are everyone's
        model = DistributedDataParallel(Net(), process_group=group, bucket_cap_mb=bucket_cap_mb)
        return train(model, group.rank, size)

    torch.manual_seed(0)
    losses, parameters = train(Net())
    results = run_ranks(size, body)
    np.testing.assert_allclose(np.mean([r[0] for r in results], axis=0), losses, rtol=1e-4)
    for mine, theirs in zip(parameters, results[0][1], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
    for other in results[1:]:
        for mine, theirs in zip(results[0][1], other[1], strict=True):
            assert mine.tobytes() == theirs.tobytes()


def test_no_sync_accumulates_locally_and_the_next_backward_averages():
    def body(group):
        model = nn.Linear(2, 1, bias=False)
        wrapped = DistributedDataParallel(model, process_group=group)
        x = torch.tensor([[float(group.rank), 1.0]])
        with wrapped.no_sync():
            wrapped(x).sum().backward()
        local = model.weight.grad.tolist()
        wrapped(x).sum().backward()
        return local, model.weight.grad.tolist()

    for rank, (local, averaged) in enumerate(run_ranks(2, body)):
        assert local == [[rank, 1.0]]
        assert averaged == [[1.0, 2.0]]


class Branches(nn.Module):
    """Uses `even` on even ranks and `odd` on odd ones; `never` nowhere."""

    def __init__(self, rank):
        super().__init__()
        self.rank = rank
        self.even = nn.Linear(1, 1, bias=False)
        self.odd = nn.Linear(1, 1, bias=False)
        self.never = nn.Linear(1, 1, bias=False)
        self.shared = nn.Linear(1, 1, bias=False)

    def forward(self, x):
        return self.shared((self.odd if self.rank % 2 else self.even)(x))


def test_unused_parameters_are_named_in_the_error():
    def body(group):
        model = DistributedDataParallel(Branches(0), process_group=group)
        model(torch.ones(1, 1)).sum().backward()

    for outcome in outcomes_of(2, body):
        assert isinstance(outcome.error, RuntimeError)
        assert "odd.weight" in str(outcome.error)
        assert "never.weight" in str(outcome.error)
        assert "find_unused_parameters=True" in str(outcome.error)
        assert "even.weight" not in str(outcome.error)


def test_find_unused_parameters_averages_over_all_ranks():
    def body(group):
        inner = Branches(group.rank)
        for p in inner.parameters():
            nn.init.constant_(p, 2.0)
        model = DistributedDataParallel(inner, process_group=group, find_unused_parameters=True)
        for _ in range(2):
            model.zero_grad()
            model(torch.ones(1, 1)).sum().backward()
        return {n: None if p.grad is None else p.grad.item() for n, p in inner.named_parameters()}

    expected = {"even.weight": 1.0, "odd.weight": 1.0, "never.weight": None, "shared.weight": 2.0}
    assert run_ranks(2, body) == [expected, expected]


def test_buffers_follow_rank_0():
    def body(group):
        model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))
        wrapped = DistributedDataParallel(model, process_group=group)
        mine = torch.tensor([[1.0, 2.0], [3.0, float(group.rank)], [0.0, 1.0]])
        wrapped(mine).sum().backward()
        after_own_data = model[1].running_mean.tolist()
        wrapped(torch.ones(3, 2))  # starts from rank 0's statistics everywhere
        return after_own_data, model[1].running_mean.tolist()

    (own_0, common_0), (own_1, common_1) = run_ranks(2, body)
    assert own_0 != own_1
    assert common_0 == common_1


def test_models_that_differ_are_refused_on_every_rank():
    def body(group):
        DistributedDataParallel(nn.Linear(2, 2 + group.rank), process_group=group)

    for outcome in outcomes_of(2, body):
        assert isinstance(outcome.error, RuntimeError)
        assert "the models differ between ranks" in str(outcome.error)
        assert "rank 1" in str(outcome.error)


def test_state_loads_with_and_without_the_prefix():
    def body(group):
        wrapped = DistributedDataParallel(nn.Linear(2, 1), process_group=group)
        plain = wrapped.state_dict()
        wrapped.load_state_dict({f"module.{k}": v * 0 for k, v in plain.items()})
        zeroed = wrapped.weight.tolist()  # attributes of the module are reachable
        wrapped.load_state_dict(plain)
        return sorted(plain), zeroed

    assert run_ranks(1, body) == [(["bias", "weight"], [[0.0, 0.0]])]


def test_gradients_live_in_the_buckets():
    def body(group):
        model = DistributedDataParallel(nn.Linear(3, 2), process_group=group)
        model(torch.ones(1, 3)).sum().backward()
        return [
            np.shares_memory(p.grad.numpy(), bucket.array)
            for bucket in model._reducer.buckets
            for p in model.parameters()
        ]

    assert all(all(shared) for shared in run_ranks(2, body))


def test_a_module_without_parameters_is_refused():
    def body(group):
        DistributedDataParallel(nn.ReLU(), process_group=group)

    (outcome,) = outcomes_of(1, body)
    assert "doesn't have any parameters that require a gradient" in str(outcome.error)
