import copy
import pickle
import re
import warnings
import weakref

import numpy as np
import pytest

import disttorch as torch
from disttorch import nn, optim
from disttorch.comm.errors import PeerLostError
from disttorch.distributed.world import GroupMember, _World
from disttorch.nn.parallel import DistributedDataParallel
from disttorch.utils.data import DataLoader, DistributedSampler, TensorDataset
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
    assert "doesn't have any parameter that requires a gradient" in str(outcome.error)


def test_lazy_modules_must_have_seen_an_input():
    def body(group):
        with warnings.catch_warnings(action="ignore"):  # lazy modules warn that they are new
            DistributedDataParallel(nn.LazyLinear(2), process_group=group)

    (outcome,) = outcomes_of(1, body)
    assert "Run a dummy forward pass" in str(outcome.error)


def one_step(model, x, *, backward=lambda loss: loss.backward()):
    backward(model(x).sum())
    return {n: None if p.grad is None else p.grad.tolist() for n, p in model.named_parameters()}


class Scalars(nn.Module):
    """A 0-d, an empty, a half-precision and a float64 parameter beside a layer."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.nothing = nn.Parameter(torch.zeros(0))
        self.brief = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
        self.wide = nn.Parameter(torch.ones(2, dtype=torch.float64))
        self.layer = nn.Linear(1, 1, bias=False)

    def forward(self, x):
        y = self.layer(x).sum() * self.scale + self.nothing.sum()
        return y + (self.brief.float() * x).sum() + (self.wide.float() * x).sum()


def test_parameters_of_all_dtypes_and_shapes():
    def body(group):
        model = Scalars()
        nn.init.ones_(model.layer.weight)
        wrapped = DistributedDataParallel(model, process_group=group)
        grads = one_step(wrapped, torch.tensor([[1.0 + group.rank]]))
        dtypes = [str(p.grad.dtype) for p in model.parameters()]
        return {k.removeprefix("module."): v for k, v in grads.items()}, dtypes

    for grads, dtypes in run_ranks(2, body):
        assert grads == {
            "scale": 1.5,
            "nothing": [],
            "brief": [1.5] * 3,
            "wide": [1.5] * 2,
            "layer.weight": [[3.0]],
        }
        assert dtypes == [
            *("torch.float32", "torch.float32", "torch.bfloat16", "torch.float64", "torch.float32")
        ]


def test_a_parameter_shared_by_two_modules_is_averaged_once():
    def body(group):
        a, b = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        b.weight = a.weight
        nn.init.ones_(a.weight)
        model = DistributedDataParallel(nn.Sequential(a, b), process_group=group)
        return one_step(model, torch.tensor([[float(group.rank)]]))

    assert run_ranks(2, body) == [{"module.0.weight": [[1.0]]}] * 2


def two_forwards(model, x):
    (model(x).sum() + model(2 * x).sum()).backward()


def two_backwards(model, x):
    first, second = model(x).sum(), model(2 * x).sum()
    first.backward()
    second.backward()


def retained(model, x):
    loss = model(x).sum()
    loss.backward(retain_graph=True)
    (2 * loss).backward()


def accumulated(model, x):
    with model.no_sync():
        model(x).sum().backward()
    model(2 * x).sum().backward()


def zeroed_in_place(model, x):
    model(5 * x).sum().backward()
    model.zero_grad(set_to_none=False)
    model(3 * x).sum().backward()


def forward_without_backward(model, x):
    model(x)
    model.eval()
    model(x)
    model.train()
    with torch.no_grad():
        model(x)
    model(3 * x).sum().backward()


def replaced_gradient(model, x):
    model.weight.grad = torch.zeros(1, 1)
    model(3 * x).sum().backward()


PATTERNS = [
    *(two_forwards, two_backwards, retained, accumulated, zeroed_in_place),
    *(forward_without_backward, replaced_gradient),
]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda f: f.__name__)
def test_patterns_of_training_loops(pattern):
    def body(group):
        model = DistributedDataParallel(nn.Linear(1, 1, bias=False), process_group=group)
        pattern(model, torch.tensor([[2.0 * group.rank]]))
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
        return norm, model.weight.grad.item()

    assert run_ranks(2, body) == [(3.0, pytest.approx(1.0))] * 2


def test_frozen_parameters_and_those_frozen_later_keep_no_gradient():
    def body(group):
        model = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(3)))
        for p in model.parameters():
            nn.init.ones_(p)
        model[0].weight.requires_grad_(False)
        wrapped = DistributedDataParallel(model, process_group=group)
        model[1].weight.requires_grad_(False)
        return one_step(wrapped, torch.tensor([[2.0 * group.rank]]))

    expected = {"module.0.weight": None, "module.1.weight": None, "module.2.weight": [[1.0]]}
    assert run_ranks(2, body) == [expected] * 2


def unfrozen(model, x):
    for p in model.module.parameters():
        p.requires_grad_(True)
    model(x)


def moved(model, x):
    model.module.double()
    model(x.double()).sum().backward()


def interrupted(model, x):
    model(x).sum().backward()

    def fail(grad):
        raise ArithmeticError("in the middle")

    handle = model.module[1].weight.register_hook(fail)
    with pytest.raises(ArithmeticError):
        model(x).sum().backward()
    handle.remove()
    model(x)


def replaced(model, x):
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(state, assign=True)
    model(x)


def called_with_others(model, x):
    others = {name: p.detach().clone() for name, p in model.named_parameters()}
    with model.no_sync():
        torch.func.functional_call(model, others, (x,))
    torch.func.functional_call(model, dict(model.named_parameters()), (x,)).sum().backward()
    assert model.module[1].weight.grad is not None
    torch.func.functional_call(model, others, (x,))


MISUSE = [
    (replaced, "parameter '1.weight' is not the one that DistributedDataParallel averages"),
    (called_with_others, "for each rank's own gradients call the wrapped module"),
    (unfrozen, "parameter '0.weight' did not require a gradient when the model was wrapped"),
    (moved, r"was of shape \[1, 1\] and torch.float32 when the model was wrapped"),
    (interrupted, "Expected to have finished reduction in the prior iteration"),
]


@pytest.mark.parametrize(("misuse", "text"), MISUSE)
def test_misuse_that_would_let_ranks_drift_apart_is_an_error(misuse, text):
    def body(group):
        model = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(3)))
        model[0].weight.requires_grad_(False)
        wrapped = DistributedDataParallel(model, process_group=group, bucket_cap_mb=1e-5)
        misuse(wrapped, torch.ones(1, 1))

    for outcome in outcomes_of(2, body):
        assert isinstance(outcome.error, RuntimeError), outcome.trace
        assert re.search(text, str(outcome.error))


def test_outputs_that_are_left_out_of_the_loss_are_unused_too():
    class Two(Branches):
        def forward(self, x):
            return self.even(x), self.odd(x)

    def body(group):
        inner = Two(group.rank)
        model = DistributedDataParallel(inner, process_group=group, find_unused_parameters=True)
        model(torch.ones(1, 1))[group.rank].sum().backward()
        return [None if p.grad is None else p.grad.item() for p in inner.parameters()]

    assert run_ranks(2, body) == [[0.5, 0.5, None, None]] * 2


def test_a_wrapper_that_is_gone_leaves_no_hooks():
    def body(group):
        model = nn.Linear(1, 1, bias=False)
        wrapped = DistributedDataParallel(model, process_group=group)
        reducer = weakref.ref(wrapped._reducer)
        wrapped(torch.ones(1, 1)).sum().backward()
        del wrapped
        model.zero_grad()
        gone = reducer() is None
        model(torch.tensor([[float(group.rank)]])).sum().backward()
        return gone, model.weight.grad.item()

    assert run_ranks(2, body) == [(True, 0.0), (True, 1.0)]


def test_copies_average_on_their_own():
    def body(group):
        _World.group = GroupMember.WORLD = group
        wrapped = DistributedDataParallel(nn.Linear(1, 1, bias=False))
        wrapped.register_comm_hook(group, lambda state, bucket: 1 // 0)  # copies have none
        copies = [copy.deepcopy(wrapped), pickle.loads(pickle.dumps(wrapped))]
        x = torch.tensor([[2.0 * group.rank]])
        grads = [one_step(model, x)["module.weight"] for model in copies]
        _World.group = GroupMember.WORLD = None
        return grads, wrapped.weight.grad

    assert run_ranks(2, body) == [([[[1.0]], [[1.0]]], None)] * 2


def test_state_of_a_module_that_holds_a_wrapper():
    def body(group):
        holder = nn.Module()
        holder.net = DistributedDataParallel(nn.Linear(1, 1, bias=False), process_group=group)
        state = holder.state_dict()
        holder.load_state_dict({k: v * 0 + 7 for k, v in state.items()})
        return list(state), holder.net.weight.item()

    assert run_ranks(1, body) == [(["net.weight"], 7.0)]


@pytest.mark.fault
def test_a_rank_that_runs_out_of_batches_is_named_at_once():
    def body(group):
        model = DistributedDataParallel(nn.Linear(1, 1), process_group=group)
        for _ in range(3 - group.rank):
            model(torch.ones(1, 1)).sum().backward()

    stayed, left = outcomes_of(2, body)
    assert left.error is None
    assert isinstance(stayed.error, PeerLostError)
    assert "rank 1" in str(stayed.error)
    assert stayed.ended_s - left.ended_s < 1.0


def test_ranks_fork_workers_while_they_communicate():
    def body(group):
        images = torch.arange(48).reshape(24, 2).float()
        sampler = DistributedSampler(images, group.size, group.rank)
        loader = DataLoader(TensorDataset(images), 2, sampler=sampler, num_workers=2, timeout=30)
        model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)))
        wrapped = DistributedDataParallel(model, process_group=group, bucket_cap_mb=1e-5)
        pending = group.all_reduce(np.ones(1 << 20), async_op=True)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            for (x,) in loader:
                wrapped(x).sum().backward()
        pending.wait()
        return model[0].weight.grad.numpy().tobytes()

    first, second = run_ranks(2, body)
    assert first == second


def test_a_wrapper_around_a_wrapper_averages_once_more_to_the_same():
    def body(group):
        inner = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
        for p in inner.parameters():
            p.data.fill_(1.0)
        model = DistributedDataParallel(
            DistributedDataParallel(inner, process_group=group), process_group=group
        )
        for _ in range(2):
            model.zero_grad()
            model(torch.tensor([[2.0 * group.rank]])).sum().backward()
        return [p.grad.tolist() for p in inner.parameters()]

    assert run_ranks(2, body) == [[[[1.0]], [[1.0]]]] * 2
