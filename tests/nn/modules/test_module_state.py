"""state_dict and load_state_dict: layout, reports in torch's words, hooks."""

from __future__ import annotations

import io
from collections import OrderedDict

import pytest

import disttorch
from disttorch import nn


class Net(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.conv = nn.Conv1d(1, width, 1, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.register_buffer("hidden", disttorch.zeros(1), persistent=False)


class Noted(nn.Module):
    note = "new"

    def get_extra_state(self):
        return {"note": self.note}

    def set_extra_state(self, state):
        self.note = state["note"]


KEYS = [
    "conv.weight",
    *(f"norm.{k}" for k in ("weight", "bias", "running_mean", "running_var")),
    "norm.num_batches_tracked",
]


def test_layout():
    net = Net()
    state = net.state_dict()
    assert list(state) == KEYS
    assert state._metadata == OrderedDict(
        {"": {"version": 1}, "conv": {"version": 1}, "norm": {"version": 2}}
    )
    weight = state["conv.weight"]
    assert not weight.requires_grad
    assert weight.data_ptr() == net.conv.weight.data_ptr()
    assert net.state_dict(keep_vars=True)["conv.weight"] is net.conv.weight
    assert next(iter(net.state_dict(prefix="x."))) == "x.conv.weight"
    with pytest.warns(FutureWarning, match="Positional args are being deprecated"):
        assert next(iter(net.state_dict(OrderedDict(), "y."))) == "y.conv.weight"


def test_loading_copies():
    net, other = Net(), Net()
    given = other.state_dict()
    weight = net.conv.weight
    result = net.load_state_dict(given)
    assert repr(result) == "<All keys matched successfully>"
    assert net.conv.weight is weight
    assert weight.tolist() == other.conv.weight.tolist()
    assert weight.data_ptr() != other.conv.weight.data_ptr()


def test_assigning_takes_over():
    net = Net()
    net.conv.weight.requires_grad_(False)
    given = {
        key: value.double() if value.is_floating_point() else value
        for key, value in Net().state_dict().items()
    }
    net.load_state_dict(given, assign=True)
    assert net.conv.weight.dtype is disttorch.float64
    assert isinstance(net.conv.weight, nn.Parameter)
    assert not net.conv.weight.requires_grad
    assert net.norm.running_mean is given["norm.running_mean"]


REPORTS = [
    (
        lambda s: {k: v for k, v in s.items() if k not in ("conv.weight", "norm.bias")},
        'Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: "conv.weight", '
        '"norm.bias". ',
    ),
    (
        lambda s: {**s, "more": s["norm.bias"], "conv.x.y": s["norm.bias"], "a.b": 0},
        'Error(s) in loading state_dict for Net:\n\tUnexpected key(s) in state_dict: "more", '
        '"a.b", "conv.x.y". ',
    ),
    (
        lambda s: {**s, "conv.weight": disttorch.ones(3, 1, 1)},
        "Error(s) in loading state_dict for Net:\n\tsize mismatch for conv.weight: copying a param "
        "with shape torch.Size([3, 1, 1]) from checkpoint, the shape in current model is "
        "torch.Size([2, 1, 1]).",
    ),
    (
        lambda s: {**s, "conv.weight": [1.0]},
        "Error(s) in loading state_dict for Net:\n\tWhile copying the parameter named "
        '"conv.weight", expected torch.Tensor or Tensor-like object from checkpoint but received '
        "<class 'list'>",
    ),
    (
        lambda s: {"more": 1},
        "Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: "
        + ", ".join(f'"{key}"' for key in KEYS if "num_batches" not in key)
        + '. \n\tUnexpected key(s) in state_dict: "more". ',
    ),
]


@pytest.mark.parametrize(("change", "text"), REPORTS)
def test_report(change, text):
    net = Net()
    with pytest.raises(RuntimeError) as raised:
        net.load_state_dict(change(dict(net.state_dict())))
    assert str(raised.value) == text


def test_not_strict_returns_the_keys():
    state = Net().state_dict()
    del state["conv.weight"]
    state["more"] = disttorch.ones(1)
    result = Net().load_state_dict(state, strict=False)
    assert result.missing_keys == ["conv.weight"]
    assert result.unexpected_keys == ["more"]
    assert repr(result) == (
        "_IncompatibleKeys(missing_keys=['conv.weight'], unexpected_keys=['more'])"
    )


def test_no_dict():
    with pytest.raises(TypeError, match=r"Expected state_dict to be dict-like, got <class 'list'>"):
        Net().load_state_dict([])


def test_batch_norm_reads_version_one():
    state = Net().state_dict()
    del state["norm.num_batches_tracked"]
    state._metadata["norm"]["version"] = 1
    net = Net()
    net.norm.num_batches_tracked.fill_(7)
    net.load_state_dict(state)
    assert net.norm.num_batches_tracked.item() == 7


def test_extra_state():
    holder, other = nn.Sequential(Noted()), nn.Sequential(Noted())
    other[0].note = "old"
    state = other.state_dict()
    assert state == {"0._extra_state": {"note": "old"}}
    holder.load_state_dict(state)
    assert holder[0].note == "old"
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0._extra_state"'):
        holder.load_state_dict({})


def test_hooks():
    net, seen = Net(), []

    def rename(module, state, prefix, metadata, strict, missing, unexpected, errors):
        seen.append(type(module).__name__)
        state["conv.weight"] = state.pop("old")

    net.register_state_dict_pre_hook(lambda m, prefix, keep_vars: seen.append("saving"))
    net.register_state_dict_post_hook(lambda m, state, prefix, meta: state.pop("norm.bias"))
    with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
        net.state_dict()
    net._state_dict_hooks.clear()
    net._register_state_dict_hook(lambda m, state, prefix, meta: {"old": state["conv.weight"]})
    state = net.state_dict()
    assert list(state) == ["old"]
    net.register_load_state_dict_pre_hook(rename)
    net._register_load_state_dict_pre_hook(lambda state, *rest: seen.append(len(rest)))
    net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    net.load_state_dict(state)
    assert seen == ["saving", "saving", "Net", 6]


def test_a_post_hook_must_not_return():
    net = Net()
    net.register_load_state_dict_post_hook(lambda m, keys: 3)
    with pytest.raises(AssertionError, match="are not expected to return new values"):
        net.load_state_dict(net.state_dict())


def test_through_a_file():
    net, other = Net(), Net()
    file = io.BytesIO()
    disttorch.save(net.state_dict(), file)
    file.seek(0)
    other.load_state_dict(disttorch.load(file))
    assert other.conv.weight.tolist() == net.conv.weight.tolist()
