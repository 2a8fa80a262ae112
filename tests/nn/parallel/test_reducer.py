"""Static graphs, second derivatives, checkpoints, buckets that gradients are made in."""

import os
import re

import numpy as np
import pytest

import disttorch as torch
from disttorch import nn, optim
from disttorch.comm.errors import CollectiveMismatchError, SharedMemoryError
from disttorch.comm.transport import segment
from disttorch.distributed.world import GroupMember, _World
from disttorch.nn.parallel import DistributedDataParallel
from disttorch.utils.checkpoint import checkpoint
from tests.comm.ranks import outcomes_of, run_ranks


def ones(*sizes):
    layers = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in sizes))
    for layer, value in zip(layers, sizes, strict=True):
        nn.init.constant_(layer.weight, value)
    return layers


def grads_of(module):
    return [None if p.grad is None else p.grad.item() for p in module.parameters()]


# ---- gradients made in the buckets -----------------------------------------------------------


def test_weights_of_linear_layers_are_made_in_the_buckets():
    def body(group):
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        wrapped = DistributedDataParallel(model, process_group=group)
        landed = []
        for p in (model[0].weight, model[1].weight):
            view = p._accumulator.landing.memory
            p.register_hook(lambda g, view=view: landed.append(g._array is view))
        for _ in range(2):
            model.zero_grad()
            wrapped(torch.ones(1, 3)).sum().backward()
        return landed

    assert run_ranks(2, body) == [[True] * 4] * 2


def twice_in_one_pass(model, x):
    y = model(x)
    return (y + model.module(2 * x)).sum()


def through_a_hook(model, x):
    model.module.weight.register_hook(lambda g: 3 * g)
    return model(x).sum()


def gradient_penalty(model, x):
    y = model(x)
    (inner,) = torch.autograd.grad(y.sum(), model.module.weight, retain_graph=True)
    model.kept = inner
    return y.sum() * 3


LANDINGS = [(twice_in_one_pass, 3.0), (through_a_hook, 3.0), (gradient_penalty, 3.0)]


@pytest.mark.parametrize(("loss_of", "factor"), LANDINGS)
def test_gradients_are_right_where_their_place_is_not_free(loss_of, factor):
    def body(group):
        wrapped = DistributedDataParallel(nn.Linear(2, 1, bias=False), process_group=group)
        loss_of(wrapped, torch.tensor([[1.0, 2.0 * group.rank]])).backward()
        kept = getattr(wrapped, "kept", None)
        return wrapped.weight.grad.tolist(), None if kept is None else kept.tolist()

    for rank, (grad, kept) in enumerate(run_ranks(2, body)):
        assert grad == [[factor, factor]]
        assert kept is None or kept == [[1.0, 2.0 * rank]]  # of this rank alone, and untouched


class Halves(nn.Module):
    """A parameter whose gradient is made in its bucket, and one whose is copied there."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1, bias=False)
        self.by = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.linear(x).sum() + (self.by * x).sum()


@pytest.mark.parametrize("joined", [False, True])
def test_gradients_that_are_kept_stay_what_they_were(joined):
    def body(group):
        model = DistributedDataParallel(Halves(), process_group=group)
        model(torch.tensor([[2.0 * group.rank]])).backward()
        kept = [p.grad for p in model.parameters()]
        loss = model(torch.tensor([[6.0 * group.rank]]))
        model.zero_grad()
        if joined and group.rank:
            model._reducer.shadow()
        else:
            loss.backward()
        return [g.item() for g in kept], [p.grad.item() for p in model.parameters()]

    second = 0.0 if joined else 3.0
    assert run_ranks(2, body) == [([1.0, 1.0], [second, second])] * 2


def test_a_forked_child_changes_no_gradients_of_the_ranks():
    def body(group):
        model = DistributedDataParallel(nn.Linear(1, 1, bias=False), process_group=group)
        loss = model(torch.tensor([[2.0 * group.rank]])).sum()
        loss.backward()
        child = os.fork()
        if child == 0:
            model.weight.grad.fill_(99.0)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        group.barrier()
        return status, model.weight.grad.item()

    assert run_ranks(2, body) == [(0, 1.0)] * 2


class Chosen(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)

    def forward(self, x, names):
        return sum(getattr(self, name)(x).sum() for name in names)


def test_two_models_in_another_order_on_one_rank_are_not_averaged_with_each_other():
    def body(group):
        models = [DistributedDataParallel(ones(1), process_group=group) for _ in range(2)]
        for model in models if group.rank else reversed(models):
            model(torch.ones(1, 1)).sum().backward()

    for outcome in outcomes_of(2, body):
        assert isinstance(outcome.error, CollectiveMismatchError), outcome.trace
        assert "AVG of model 2, bucket 0" in str(outcome.error)


def test_what_one_rank_accumulated_reaches_all_though_the_last_pass_does_not_use_it():
    def body(group):
        inner = Chosen()
        model = DistributedDataParallel(inner, process_group=group, find_unused_parameters=True)
        with model.no_sync():
            model(torch.ones(1, 1), "a" if group.rank else "ab").backward()
        model(torch.ones(1, 1), "a").backward()
        return grads_of(inner)

    assert run_ranks(2, body) == [[2.0, 0.5]] * 2


def test_steps_in_hooks_of_parameters_which_would_take_gradients_of_one_rank_are_refused():
    def body(group):
        inner = ones(1, 1)
        model = DistributedDataParallel(inner, process_group=group)

        def step(p):
            p.data.sub_(p.grad)
            p.grad = None

        inner[1].weight.register_post_accumulate_grad_hook(step)
        with model.no_sync():
            model(torch.ones(1, 1)).sum().backward()
        model(torch.ones(1, 1)).sum().backward()

    for outcome in outcomes_of(2, body):
        assert isinstance(outcome.error, RuntimeError), outcome.trace
        assert "gradient of parameter '1.weight' was taken away before" in str(outcome.error)


def test_a_model_of_another_dtype_gets_other_buckets():
    def body(group):
        model = DistributedDataParallel(nn.Linear(1, 1, bias=False), process_group=group)
        before = id(model._reducer)
        model.float()
        kept = id(model._reducer) == before
        model.double()
        model(torch.tensor([[2.0 * group.rank]], dtype=torch.float64)).sum().backward()
        return kept, model.weight.grad.dtype is torch.float64, model.weight.grad.item()

    assert run_ranks(2, body) == [(True, True, 1.0)] * 2


def test_a_wrapper_that_is_gone_takes_its_memory_back():
    def body(group):
        model = nn.Linear(2, 1)
        wrapped = DistributedDataParallel(model, process_group=group)
        offered = model.weight._accumulator.landing is not None
        del wrapped
        return offered, model.weight._accumulator.landing

    assert run_ranks(2, body) == [(True, None)] * 2


# ---- second derivatives ----------------------------------------------------------------------


def test_gradients_with_history_keep_it_and_are_averaged():
    def body(group):
        model = DistributedDataParallel(ones(3.0), process_group=group)
        (weight,) = model.parameters()
        x = torch.tensor([[1.0 + group.rank]])
        with pytest.warns(UserWarning, match="a reference cycle"):
            (model(x) ** 2).sum().backward(create_graph=True)  # d/dw (w x)^2 = 2 w x^2
        grad = weight.grad
        (second,) = torch.autograd.grad(grad.sum(), weight)  # 2 x^2, of this rank
        return grad.item(), grad.grad_fn is not None, second.item()

    assert run_ranks(2, body) == [(15.0, True, 2.0), (15.0, True, 8.0)]


# ---- static graphs ---------------------------------------------------------------------------


class Choice(nn.Module):
    """Uses the layer that it is told to."""

    def __init__(self):
        super().__init__()
        self.layers = ones(2.0, 2.0, 2.0)
        self.chosen = [0, 1]

    def forward(self, x):
        for i in self.chosen:
            x = self.layers[i](x)
        return x


def test_a_static_graph_finds_unused_parameters_once():
    def body(group):
        inner = Choice()
        inner.chosen = [0, group.rank]  # the last is used nowhere, the second on rank 1 only
        model = DistributedDataParallel(inner, process_group=group, static_graph=True)
        found = []
        for _ in range(3):
            model.zero_grad()
            model(torch.ones(1, 1)).sum().backward()
            found.append(grads_of(inner))
        return found

    first, second = run_ranks(2, body)
    assert first == second == [[3.0, 1.0, None]] * 3


def test_a_static_graph_that_changes_is_an_error():
    def body(group):
        inner = Choice()
        model = DistributedDataParallel(inner, process_group=group, static_graph=True)
        model(torch.ones(1, 1)).sum().backward()
        inner.chosen = [0]
        model(torch.ones(1, 1)).sum().backward()

    for outcome in outcomes_of(2, body):
        assert isinstance(outcome.error, RuntimeError), outcome.trace
        assert "Your training graph has changed in this iteration" in str(outcome.error)
        assert "layers.1.weight" in str(outcome.error)


class Checkpointed(nn.Module):
    """Runs one block twice, each time in a checkpoint."""

    def __init__(self, reentrant):
        super().__init__()
        self.block = ones(2.0)
        self.reentrant = reentrant

    def forward(self, x):
        for _ in range(2):
            x = checkpoint(self.block, x, use_reentrant=self.reentrant)
        return x


@pytest.mark.parametrize(("reentrant", "static"), [(True, True), (False, True), (False, False)])
def test_checkpointed_blocks_that_share_parameters(reentrant, static):
    def body(group):
        inner = Checkpointed(reentrant)
        model = DistributedDataParallel(
            inner, process_group=group, static_graph=static, bucket_cap_mb=1e-5
        )
        found = []
        for _ in range(3):
            model.zero_grad()
            x = torch.full((1, 1), 2.0 * group.rank, requires_grad=True)
            model(x).sum().backward()
            found += grads_of(inner)
        return found

    assert run_ranks(2, body) == [[4.0] * 3] * 2  # d/dw w^2 x = 2 w x, at w = 2 and x = 1


# ---- several models, dtypes, scaling ---------------------------------------------------------


def test_two_models_in_one_loss():
    def body(group):
        a, b = (DistributedDataParallel(ones(2.0), process_group=group) for _ in range(2))
        (a(torch.ones(1, 1)) * b(torch.full((1, 1), 2.0 * group.rank))).sum().backward()
        return grads_of(a) + grads_of(b)

    assert run_ranks(2, body) == [[2.0, 2.0]] * 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_precisions(dtype):
    def body(group):
        inner = nn.Linear(4, 1, bias=False).to(dtype)
        model = DistributedDataParallel(inner, process_group=group)
        model(torch.full((1, 4), 2.0 * group.rank, dtype=dtype)).sum().backward()
        return str(inner.weight.grad.dtype), inner.weight.grad.float().tolist()

    assert run_ranks(2, body) == [(str(dtype), [[1.0] * 4])] * 2


def test_autocast_with_scaled_gradients():
    def body(group):
        torch.manual_seed(0)
        inner = nn.Linear(4, 1, bias=False)
        model = DistributedDataParallel(inner, process_group=group)
        optimizer = optim.SGD(model.parameters(), lr=0.5)
        scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
        before = inner.weight.detach().clone()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(torch.full((1, 4), 2.0 * group.rank)).sum()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return (before - inner.weight).tolist()

    for moved in run_ranks(2, body):
        np.testing.assert_allclose(moved, [[0.5] * 4], rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_losses_are_those_of_one_process_with_every_number_of_ranks(size):
    x = np.random.RandomState(0).standard_normal((12, 5)).astype(np.float32)

    def body(group):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1))
        if size > 1:
            model = DistributedDataParallel(model, process_group=group, bucket_cap_mb=1e-4)
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        losses = []
        for _ in range(6):
            optimizer.zero_grad()
            loss = model(torch.from_numpy(x[group.rank :: size].copy())).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses, [p.detach().numpy().tobytes() for p in model.parameters()]

    results = run_ranks(size, body)
    ((expected, _),) = run_ranks(1, lambda group: whole(x))
    np.testing.assert_allclose(np.mean([r[0] for r in results], axis=0), expected, rtol=1e-4)
    assert all(r[1] == results[0][1] for r in results)


def whole(x):
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = model(torch.from_numpy(x)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, None


def test_ignored_parameters_stay_with_their_rank():
    def body(group):
        inner = ones(2.0, 2.0)
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(inner, ["0.weight"])
        nn.init.constant_(inner[0].weight, group.rank)
        model = DistributedDataParallel(inner, process_group=group)
        model(torch.full((1, 1), 2.0)).sum().backward()
        return inner[0].weight.item(), grads_of(inner)

    assert run_ranks(2, body) == [(0.0, [4.0, 1.0]), (1.0, [4.0, 1.0])]


def test_the_first_buckets_are_on_their_way_before_the_last_gradient_is_there():
    def body(group):
        inner = ones(1.0, 1.0, 1.0)
        model = DistributedDataParallel(inner, process_group=group, bucket_cap_mb=1e-5)
        started = []
        inner[0].weight.register_hook(lambda grad: started.append(model._reducer._n_started))
        model(torch.ones(1, 1)).sum().backward()
        return len(model._reducer.buckets), started

    assert run_ranks(2, body) == [(3, [2])] * 2


def test_synchronised_batch_norms_train_as_on_the_whole_batch():
    x = np.random.RandomState(0).standard_normal((6, 4)).astype(np.float32)

    def trained(model, rows):
        optimizer = optim.SGD(model.parameters(), lr=0.2)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.from_numpy(x[rows].copy())).square().mean().backward()
            optimizer.step()
        return [t.numpy().copy() for t in model.state_dict().values()]

    def made():
        torch.manual_seed(5)
        return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 2))

    def body(group):
        _World.group = GroupMember.WORLD = group
        inner = nn.SyncBatchNorm.convert_sync_batchnorm(made())
        found = trained(DistributedDataParallel(inner), slice(group.rank, None, 2))
        _World.group = GroupMember.WORLD = None
        return found

    expected = trained(made(), slice(None))
    first, second = run_ranks(2, body)
    for mine, other, whole in zip(first, second, expected, strict=True):
        np.testing.assert_allclose(mine, whole, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(other, whole, rtol=1e-4, atol=1e-5)


def test_no_memory_for_gradients_is_an_error_on_all_ranks_with_the_way_out(monkeypatch):
    def body(group):
        if group.rank == 1:  # the second bucket is too much for this one
            monkeypatch.setattr(segment, "_available_nbytes", lambda: 1 << 20)
        layers = nn.Sequential(nn.Linear(2500, 2500, bias=False), nn.Linear(2500, 2))
        with pytest.raises(SharedMemoryError) as caught:
            DistributedDataParallel(layers, process_group=group)
        monkeypatch.undo()
        assert DistributedDataParallel(layers, process_group=group)  # once there is memory
        return str(caught.value)

    for text in run_ranks(2, body):
        assert text.startswith("rank 1: 25000000 bytes of shared memory wanted, 1048576 bytes")
        assert ". DistributedDataParallel keeps gradients in memory that the ranks" in text
        assert re.search(r"250200\d\d bytes for this model", text)
