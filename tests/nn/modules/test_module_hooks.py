"""Hooks around a call: the same events in the same order as torch, and what they may change."""

from __future__ import annotations

import copy

import pytest

import disttorch
from disttorch import nn
from disttorch.nn.modules import module as ours


def build(library):
    """A module that takes an argument and a keyword, and has a child."""

    class Scale(library.nn.Module):
        def forward(self, x, by=1.0):
            if by == 0:
                raise ValueError("nothing left")
            return x * by

    class Outer(library.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Scale()

        def forward(self, x, by=1.0):
            return self.inner(x, by=by) + 1

    return Outer()


def show(values):
    """Tensors as lists, so that both libraries' events compare equal."""
    if isinstance(values, (tuple, list)):
        return [show(v) for v in values]
    return values.tolist() if hasattr(values, "tolist") else values


def trace(library):
    """All events of one forward and backward pass."""
    module, events = build(library), []

    def log(name, n_skipped=1):
        return lambda *args: events.append((name, show(args[n_skipped:])))

    module.register_forward_pre_hook(log("pre"))
    module.register_forward_pre_hook(log("pre kwargs", 3), with_kwargs=True, prepend=True)
    module.inner.register_forward_hook(log("inner"))
    module.register_forward_hook(log("post"))
    module.register_forward_hook(log("post first"), prepend=True)
    module.register_forward_hook(log("post kwargs"), with_kwargs=True)
    module.register_full_backward_pre_hook(log("backward pre"))
    module.register_full_backward_hook(log("backward"))
    module.inner.register_full_backward_hook(log("inner backward"))
    module.inner.register_full_backward_pre_hook(log("inner backward pre"))
    functions = library.nn.modules.module
    handles = [
        functions.register_module_forward_pre_hook(log("global pre")),
        functions.register_module_forward_hook(log("global post")),
        functions.register_module_full_backward_hook(log("global backward")),
        functions.register_module_full_backward_pre_hook(log("global backward pre")),
    ]
    x = library.tensor([1.0, 2.0], requires_grad=True)
    try:
        module(x, by=3.0).sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    return events, x.grad.tolist()


@pytest.mark.parity
def test_events_are_torchs(torch):
    assert trace(disttorch) == trace(torch)


def test_events():
    events, grad = trace(disttorch)
    assert grad == [3.0, 3.0]
    assert [name for name, _ in events] == [
        *("global pre", "pre kwargs", "pre", "global pre", "global post", "inner"),
        *("global post", "post first", "post", "post kwargs"),
        *("global backward pre", "backward pre"),
        *("global backward pre", "inner backward pre", "global backward", "inner backward"),
        *("global backward", "backward"),
    ]


def test_pre_hook_replaces_arguments():
    module = build(disttorch)
    module.register_forward_pre_hook(lambda m, args: args[0] * 10)
    assert module(disttorch.ones(1)).item() == 11.0
    module.register_forward_pre_hook(lambda m, a, k: (a, {"by": 2.0}), with_kwargs=True)
    assert module(disttorch.ones(1)).item() == 21.0
    module.register_forward_pre_hook(lambda m, a, k: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="forward pre-hook must return None or a tuple of"):
        module(disttorch.ones(1))


def test_hook_replaces_the_output():
    module = build(disttorch)
    handle = module.register_forward_hook(lambda m, args, out: out * 10)
    assert module(disttorch.ones(1)).item() == 20.0
    handle.remove()
    assert module(disttorch.ones(1)).item() == 2.0


def test_backward_hooks_replace_gradients():
    module = build(disttorch)
    module.register_full_backward_pre_hook(lambda m, grads: (grads[0] * 2,))
    module.register_full_backward_hook(lambda m, gi, go: (gi[0] + go[0],))
    x = disttorch.ones(1, requires_grad=True)
    module(x, by=3.0).sum().backward()
    assert x.grad.item() == 2 * 3 + 2


@pytest.mark.parametrize("always_call", [True, False])
def test_always_called_hooks(always_call):
    module, seen = build(disttorch), []
    module.register_forward_hook(lambda m, args, out: seen.append(out), always_call=always_call)
    with pytest.raises(ValueError, match="nothing left"):
        module(disttorch.ones(1), by=0)
    assert seen == ([None] if always_call else [])


def test_an_always_called_hook_that_raises_warns():
    module = build(disttorch)
    module.register_forward_hook(lambda m, args, out: 1 / 0, always_call=True)
    with (
        pytest.warns(UserWarning, match="raised an exception that was silenced"),
        pytest.raises(ValueError, match="nothing left"),
    ):
        module(disttorch.ones(1), by=0)


def test_regular_and_full_backward_hooks_exclude_each_other():
    module = build(disttorch)
    module.register_full_backward_hook(print)
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full"):
        module.register_backward_hook(print)


def test_regular_backward_hook_sees_the_last_node():
    layer, seen = nn.Linear(1, 1), []
    layer.register_backward_hook(lambda m, gi, go: seen.append(go[0].tolist()))
    with pytest.warns(FutureWarning, match="when the forward contains multiple autograd Nodes"):
        layer(disttorch.ones(1, 1)).backward()
    assert seen == [[[1.0]]]


def test_a_removed_hook_leaves_no_flag():
    module = build(disttorch)
    module.register_forward_hook(print, with_kwargs=True, always_call=True).remove()
    module.register_forward_pre_hook(print, with_kwargs=True).remove()
    assert not module._forward_hooks_with_kwargs
    assert not module._forward_hooks_always_called
    assert not module._forward_pre_hooks_with_kwargs


def test_copies_keep_hooks():
    module = nn.Linear(1, 1)
    module.register_forward_hook(lambda m, args, out: out * 0)
    assert copy.deepcopy(module)(disttorch.ones(1, 1)).item() == 0.0


def test_global_hooks_of_both_kinds_exclude_each_other():
    handle = ours.register_module_full_backward_hook(lambda m, gi, go: None)
    try:
        with pytest.raises(RuntimeError, match="as a global Module hook"):
            ours.register_module_backward_hook(print)
    finally:
        handle.remove()
