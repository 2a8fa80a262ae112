"""Views and in-place writes, under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, errors, leaf

pytestmark = pytest.mark.parity
program = Programs()


def both_grads(t, x, y):
    (y * y).sum().backward()
    return x.grad, y.detach()


@program
def inplace_on_non_leaf(t):
    x = leaf(t, 1, 2, 3)
    y = x * 2
    y.mul_(3).add_(1)
    return both_grads(t, x, y)


@program
def inplace_on_view(t):
    x = leaf(t, 1, 2, 3)
    y = x * 2
    y[1:].mul_(3)
    return both_grads(t, x, y)


@program
def inplace_on_base_changes_view(t):
    x = leaf(t, 1, 2, 3, 4)
    y = x * 2
    v = y.view(2, 2)
    y.mul_(5)
    return both_grads(t, x, v)


@program
def inplace_on_view_of_view(t):
    x = leaf(t, 1, 2, 3, 4)
    y = x * 2
    y.view(2, 2)[0].t().unsqueeze(0).exp_()
    return both_grads(t, x, y)


@program
def inplace_through_transpose(t):
    x = leaf(t, 1, 2, 3, 4, 5, 6)
    y = (x * 2).view(2, 3)
    y.t()[1].mul_(x[:2])
    return both_grads(t, x, y)


@program
def inplace_twice_on_overlapping_views(t):
    x = leaf(t, 1, 2, 3, 4)
    y = x * 2
    a, b = y[:3], y[1:]
    a.mul_(2)
    b.add_(a[0])
    return both_grads(t, x, y), a.detach(), b.detach()


@program
def view_made_before_write_uses_new_history(t):
    x = leaf(t, 1, 2, 3)
    y = x * 2
    v = y[1:]
    y[2] = 7.0
    (v * 3).sum().backward()
    return x.grad


@program
def write_with_gradient(t):
    x, w = leaf(t, 1, 2, 3), leaf(t, 5)
    y = x * 2
    y[1:2] = w
    return both_grads(t, x, y), w.grad


@program
def write_into_plain_tensor(t):
    w = leaf(t, 5)
    y = t.zeros(3, dtype=t.float64)
    v = y[:2]
    v[0] = w[0] * 2
    return y.requires_grad, v.requires_grad, both_grads(t, w, y)


@program
def copy_into_view(t):
    x, w = leaf(t, 1, 2, 3, 4), leaf(t, 5, 6)
    y = (x * 1).view(2, 2)
    y[:, 0].copy_(w)
    return both_grads(t, x, y), w.grad


@program
def version_counters(t):
    x = t.ones(3)
    v = x[1:]
    versions = [x._version, v._version]
    v.add_(1)
    versions += [x._version, v._version]
    x.mul_(2)
    versions += [x._version, v._version, x.detach()._version, x.data._version]
    return versions


@program
def modified_saved_tensor(t):
    x = leaf(t, 1, 2)
    y = x * 2
    z = y * y
    y.add_(1)
    z.sum().backward()


@program
def modified_saved_output(t):
    x = leaf(t, 1, 2)
    y = x.exp()
    y.add_(1)
    y.sum().backward()


@program
def modified_through_view(t):
    x = leaf(t, 1, 2)
    y = x * 2
    z = y.sin()
    y[0] = 0.0
    z.sum().backward()


@program
def modified_leaf_under_no_grad(t):
    x = leaf(t, 1, 2)
    y = (x * x).sum()
    with t.no_grad():
        x.add_(1)
    y.backward()


@program
def modified_through_detach(t):
    x = leaf(t, 1, 2)
    y = x * 2
    z = y.sin()
    y.detach().zero_()
    z.sum().backward()


@program
def modified_through_data(t):
    x = leaf(t, 1, 2)
    y = (x * x).sum()
    x.data.zero_()
    y.backward()
    return x.grad


@program
def inplace_keeps_what_it_needs(t):
    x = leaf(t, 1, 2)
    y = (x * 2).sigmoid_()
    z = (x * 2).exp_()
    (y * z).sum().backward()
    return x.grad


@program
def refused_inplace(t):
    x = leaf(t, 1, 2)
    wide = t.ones(1).expand(3)
    ints = t.tensor([1, 2])
    y = x * 1
    return errors(
        lambda: x.add_(1),
        lambda: x[0].add_(1),
        lambda: x.mul_(2),
        lambda: wide.add_(1),
        lambda: ints.add_(1.5),
        lambda: ints.div_(2),
        lambda: t.ones(2).add_(t.ones(3)),
        lambda: t.ones(1).add_(t.ones(3)),
        lambda: y.unbind(0)[0].mul_(2),
        x.detach_,
    )


@program
def leaf_filled_under_no_grad(t):
    x = leaf(t, 1, 2)
    with t.no_grad():
        x.mul_(3)
        x[0] = 9.0
    (x * x).sum().backward()
    return x.detach(), x.grad, x.is_leaf


@program
def views_made_under_no_grad(t):
    x = leaf(t, 1, 2)
    y = x * 1
    with t.no_grad():
        v = y[:1]
    return v.detach()


@program
def detach_inplace(t):
    x = leaf(t, 1, 2)
    y = x * 2
    y.detach_()
    return y.requires_grad, y.is_leaf, errors(lambda: (x * 1).view(2, 1).detach_())


@program
def inplace_arithmetic_operators(t):
    x = leaf(t, 1.5, 2.5)
    y = x * 1
    y += x
    y *= 2
    y -= 1
    y /= x
    y **= 2
    return both_grads(t, x, y)


@program
def accumulate_into_index(t):
    x = leaf(t, 1, 2, 3)
    y = t.zeros(3, dtype=t.float64)
    for i in range(3):
        y[i] = y[i] + x[i] * i
        y[0] += x[i]
    return both_grads(t, x, y)


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
