"""Gradients made in memory that a leaf's owner offers."""

import numpy as np
import pytest

import disttorch as torch
from disttorch.autograd.landing import land_in
from disttorch.autograd.node import accumulator_of

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def offered(n=3, m=4, memory=None):
    weight = torch.ones(m, n, requires_grad=True)
    landing = land_in(weight, np.full((m, n), 7.0, np.float32) if memory is None else memory)
    landing.free = True
    return weight, landing


def loss_of(weight):
    return torch.nn.functional.linear(torch.from_numpy(X), weight).sum()


EXPECTED = np.tile(X.sum(0), (4, 1))


def test_a_product_is_made_there_and_becomes_the_gradient():
    weight, landing = offered()
    loss_of(weight).backward()
    assert weight.grad._array is landing.memory
    np.testing.assert_array_equal(landing.memory, EXPECTED)
    assert not landing.free


def test_the_memory_is_given_out_once():
    weight, landing = offered()
    (loss_of(weight) + loss_of(weight)).backward()
    assert weight.grad._array is not landing.memory
    np.testing.assert_array_equal(weight.grad.numpy(), 2 * EXPECTED)


def test_a_gradient_that_somebody_kept_moves_out_for_the_next():
    weight, landing = offered()
    loss_of(weight).backward()
    kept = landing.show(weight.grad)
    weight.grad, landing.free = None, True
    (3 * loss_of(weight)).backward()
    assert weight.grad._array is landing.memory
    np.testing.assert_array_equal(weight.grad.numpy(), 3 * EXPECTED)
    np.testing.assert_array_equal(kept.numpy(), EXPECTED)


def test_what_is_there_already_is_added_to():
    weight, landing = offered()
    weight.grad = torch.ones(4, 3)
    loss_of(weight).backward()
    np.testing.assert_array_equal(weight.grad.numpy(), EXPECTED + 1)
    assert landing.free


def with_history(weight):
    with pytest.warns(UserWarning, match="will create a reference cycle"):
        loss_of(weight).backward(create_graph=True)
    return weight.grad


def asked_for(weight):
    return torch.autograd.grad(loss_of(weight), weight)[0]


def for_another(weight):
    other = torch.ones(4, 3, requires_grad=True)
    loss_of(weight * other).backward(inputs=[other])
    return other.grad


@pytest.mark.parametrize("gradient_of", [with_history, asked_for, for_another])
def test_sweeps_that_are_not_for_grad_leave_the_memory_alone(gradient_of):
    weight, landing = offered()
    found = gradient_of(weight)
    np.testing.assert_array_equal(found.detach().numpy(), EXPECTED)
    assert (landing.memory == 7.0).all()


@pytest.mark.parametrize(
    "memory", [np.zeros((3, 4), np.float32), np.zeros((4, 3))], ids=["shape", "dtype"]
)
def test_memory_that_does_not_fit_is_not_used(memory):
    weight, _ = offered(memory=memory)
    loss_of(weight).backward()
    np.testing.assert_array_equal(weight.grad.numpy(), EXPECTED)
    assert (memory == 0).all()


def test_matrix_products_land_too():
    weight, landing = offered(4, 3)
    (torch.from_numpy(X) @ weight).sum().backward()
    assert weight.grad._array is landing.memory
    np.testing.assert_array_equal(landing.memory, EXPECTED.T)


def test_an_offer_can_be_taken_back_but_not_that_of_another():
    weight, first = offered()
    second = land_in(weight, first.memory)
    first.withdraw()
    assert accumulator_of(weight).landing is second
    second.withdraw()
    assert accumulator_of(weight).landing is None
