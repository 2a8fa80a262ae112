"""Hooks on tensors, leaves and nodes, under PyTorch and here."""

from __future__ import annotations

import warnings

import pytest

from tests.parity.autograd.harness import Programs, leaf, normal

pytestmark = pytest.mark.parity
program = Programs()


@program
def hooks_run_in_order_and_replace(t):
    x = leaf(t, 1, 2)
    log = []
    y = x * 3
    y.register_hook(lambda g: log.append(("first", g.tolist())) or g * 2)
    y.register_hook(lambda g: log.append(("second", g.tolist())))
    handle = y.register_hook(lambda g: log.append("removed"))
    handle.remove()
    x.register_hook(lambda g: log.append(("leaf", g.tolist())))
    x.register_post_accumulate_grad_hook(lambda p: log.append(("after", p.grad.tolist())))
    y.sum().backward()
    return log, x.grad


@program
def retain_grad_sees_hooks(t):
    x = leaf(t, 1, 2)
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    y.sum().backward()
    return y.grad, x.grad, y.retains_grad, x.retains_grad


@program
def node_hooks(t):
    x = leaf(t, 1, 2)
    y = x * 3
    log = []
    y.grad_fn.register_prehook(lambda gs: (gs[0] * 2,))
    y.grad_fn.register_hook(lambda gi, go: log.append((gi[0].tolist(), go[0].tolist())))
    y.sum().backward()
    return log, x.grad


@program
def non_leaf_grad_warns(t):
    x = leaf(t, 1)
    y = x * 2
    y.sum().backward()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        grad = y.grad
    return grad, [w.category.__name__ for w in caught], normal(str(caught[0].message))[:300]


@program
def graph_names(t):
    x = leaf(t, 1, 2)
    y = x.exp().sum()
    node = y.grad_fn
    below = node.next_functions[0][0]
    leaf_node = below.next_functions[0][0]
    return node.name(), below.name(), type(leaf_node).__name__, x.is_leaf, y.is_leaf


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
