"""Training that goes on from a checkpoint, also with other numbers of ranks."""

import numpy as np
import pytest

import disttorch as torch
from disttorch import nn, optim
from disttorch.distributed import checkpoint as dcp
from disttorch.distributed.checkpoint import state_dict as states
from disttorch.distributed.optim import ZeroRedundancyOptimizer
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm.ranks import run_ranks

X = np.random.RandomState(0).standard_normal((12, 5)).astype(np.float32)
SETTINGS = {"lr": 0.05, "weight_decay": 0.1}


def made(group=None, seed=1):
    torch.manual_seed(seed)
    # A bias before the normalisation would have gradients of rounding errors, which Adam enlarges.
    first = nn.Linear(5, 8, bias=False)
    model = nn.Sequential(first, nn.BatchNorm1d(8), nn.Linear(8, 1))
    if group is None:
        return model, optim.AdamW(model.parameters(), **SETTINGS)
    wrapped = DistributedDataParallel(model, process_group=group)
    return wrapped, ZeroRedundancyOptimizer(wrapped.parameters(), optim.AdamW, group, **SETTINGS)


def train(model, optimizer, n_steps):
    """Steps on the same data on all ranks, so that their number makes no difference."""
    for _ in range(n_steps):
        optimizer.zero_grad()
        model(torch.from_numpy(X)).square().mean().backward()
        optimizer.step()
    return [p.detach().numpy().copy() for p in model.parameters()]


def saved(model, optimizer, folder, **how):
    found = states.get_state_dict(model, optimizer)
    dcp.save(dict(zip(("model", "optim"), found, strict=True)), checkpoint_id=folder, **how)


def restored(model, optimizer, folder, **how):
    found = dict(zip(("model", "optim"), states.get_state_dict(model, optimizer), strict=True))
    dcp.load(found, checkpoint_id=folder, **how)
    report = states.set_state_dict(
        model, optimizer, model_state_dict=found["model"], optim_state_dict=found["optim"]
    )
    assert not report.missing_keys and not report.unexpected_keys


@pytest.mark.parametrize(("n_before", "n_after"), [(2, 3), (3, 1), (None, 2), (2, None)])
def test_sharded_states_go_on_with_any_number_of_ranks(tmp_path, n_before, n_after):
    plain, plain_optimizer = made()
    expected = train(plain, plain_optimizer, 5)

    def first(group=None):
        model, optimizer = made(group)
        train(model, optimizer, 3)
        saved(model, optimizer, str(tmp_path), process_group=group)

    def second(group=None):
        model, optimizer = made(group, seed=9)
        for settings in optimizer.param_groups:
            settings["lr"] = 99.0
        restored(model, optimizer, str(tmp_path), process_group=group)
        assert optimizer.param_groups[0]["lr"] == 0.05
        return train(model, optimizer, 2)

    first() if n_before is None else run_ranks(n_before, first)
    results = [second()] if n_after is None else run_ranks(n_after, second)
    for found in results:
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


OPTIMISERS = {
    "SGD": {"momentum": 0.9},
    "Adam": {"amsgrad": True},
    **{name: {} for name in ("AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta")},
    **{name: {} for name in ("RMSprop", "Rprop", "ASGD", "Adafactor")},
}


@pytest.mark.parametrize("restore", [False, True], ids=["taken", "restored"])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_state_that_is_made_to_be_loaded_changes_no_training(name, restore):
    """A checkpoint before the first step: decay, rates and products of factors are kept in some."""

    def trained(checkpoint):
        model, _ = made()
        how = {"lr": 0.05, **OPTIMISERS[name], **({"weight_decay": 0.1} if name != "Rprop" else {})}
        optimizer = getattr(optim, name)(model.parameters(), **how)
        if checkpoint:
            found = states.get_optimizer_state_dict(model, optimizer)
            assert found["state"]
            if restore:
                states.set_optimizer_state_dict(model, optimizer, found)
        return train(model, optimizer, 3)

    for a, b in zip(trained(True), trained(False), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5 if restore else 0)


def test_flat_states():
    options = states.StateDictOptions(flatten_optimizer_state_dict=True, cpu_offload=True)
    model, optimizer = made()
    train(model, optimizer, 2)
    flat = states.get_optimizer_state_dict(model, optimizer, options=options)
    assert flat["param_groups.0.weight.lr"] == 0.05
    assert flat["state.2.bias.exp_avg"].shape == (1,)
    other, other_optimizer = made()
    other_optimizer.param_groups[0]["lr"] = 1.0
    states.set_optimizer_state_dict(other, other_optimizer, flat, options=options)
    assert other_optimizer.param_groups[0]["lr"] == 0.05
    q = next(iter(other.parameters()))
    assert torch.equal(other_optimizer.state[q]["exp_avg"], flat["state.0.weight.exp_avg"])


def test_parts_of_a_model():
    model, _ = made()
    model[2].weight.requires_grad_(False)
    options = states.StateDictOptions(ignore_frozen_params=True, keep_submodule_prefixes=False)
    found = states.get_model_state_dict(model, submodules=[model[2]], options=options)
    assert list(found) == ["bias"]
    prefixed = {f"module.{k}": v for k, v in states.get_model_state_dict(model).items()}
    assert not states.set_model_state_dict(model, prefixed).missing_keys


def test_refusals():
    model, optimizer = made()
    with pytest.raises(NotImplementedError, match="broadcast_from_rank0"):
        states.StateDictOptions(broadcast_from_rank0=True)
    with pytest.raises(RuntimeError, match=r"no param_group with the parameter 0\.weight"):
        states.set_optimizer_state_dict(model, optimizer, {"state": {}, "param_groups": []})
    model(torch.from_numpy(X)).sum().backward()
    with pytest.raises(RuntimeError, match="optimizer states are initialized"):
        states.get_optimizer_state_dict(model, optimizer)


def test_a_model_with_a_part_named_module():
    class Held(nn.Module):
        def __init__(self):
            super().__init__()
            self.module, self.head = nn.Linear(2, 2), nn.Linear(2, 1)

    state = states.get_model_state_dict(Held())
    for given in (state, {f"module.{name}": value for name, value in state.items()}):
        other = Held()
        states.set_model_state_dict(other, given)
        assert torch.equal(other.module.weight, state["module.weight"])
