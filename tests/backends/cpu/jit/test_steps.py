"""Optimiser steps by kernels against the steps on NumPy, over several steps and settings."""

import itertools

import numpy as np
import pytest

import disttorch as torch
from disttorch.backends.cpu.jit import steps

pytest.importorskip("numba", reason="the `fast` extra is not installed")

COMMON = ({}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "maximize": True})
SETTINGS = {
    "SGD": ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True},
            {"momentum": 0.9, "dampening": 0.2}),
    "Adam": ({}, {"amsgrad": True}, {"betas": (0.8, 0.9), "eps": 1e-3}),
    "AdamW": ({}, {"amsgrad": True}),
    "RMSprop": ({}, {"momentum": 0.9}, {"centered": True}, {"momentum": 0.5, "centered": True}),
    "Adagrad": ({}, {"lr_decay": 0.1, "initial_accumulator_value": 0.2}),
}  # fmt: skip
CASES = [
    (n, {**s, **c}) for n, some in SETTINGS.items() for s, c in itertools.product(some, COMMON)
]
CASES.remove(("SGD", {}))  # one call of BLAS, which asks no kernel: tests/backends/cpu/test_blas.py


def _trained(name, settings, dtype, kernels, monkeypatch):
    used = []
    monkeypatch.setattr(steps, "pays", lambda *a: used.append(a) or kernels)
    draw = np.random.default_rng(0).standard_normal
    params = [torch.tensor(draw(s), dtype=dtype, requires_grad=True) for s in ((40, 30), (7,))]
    optimizer = getattr(torch.optim, name)(params, lr=0.01, **settings)
    for _ in range(5):
        for p in params:
            p.grad = torch.tensor(draw(tuple(p.shape)), dtype=dtype)
        optimizer.step()
    assert used, "no kernel was asked for"
    return [p.detach().numpy() for p in params]


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_steps_agree_with_numpys(monkeypatch, name, settings):
    for dtype, tolerance in ((torch.float32, 2e-6), (torch.float64, 1e-13)):
        expected = _trained(name, settings, dtype, False, monkeypatch)
        found = _trained(name, settings, dtype, True, monkeypatch)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_large_parameters_are_shared_by_threads(monkeypatch):
    monkeypatch.setattr("disttorch.backends.cpu.threads._Setting.n", 2)
    monkeypatch.setattr(steps, "_PIECE", 64)
    settings = {"amsgrad": True}
    found = _trained("Adam", settings, torch.float32, True, monkeypatch)
    expected = _trained("Adam", settings, torch.float32, False, monkeypatch)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)


def test_a_formula_of_ones_own_is_not_replaced(monkeypatch):
    class Halved(torch.optim.Adam):
        @staticmethod
        def update(backend, p, g, slots, scratch, c):
            p *= 0.5

    monkeypatch.setattr(steps, "pays", lambda *_: True)
    p = torch.ones(5, requires_grad=True)
    p.grad = torch.ones(5)
    Halved([p]).step()
    assert p.tolist() == [0.5] * 5
