"""Whole programs as users write them: results as under PyTorch, and claims that hold alone."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import disttorch
from tests.programs import differentiation, state, training

Results = dict[str, Any]


def falls(key: str = "loss", to: float = 0.9) -> Callable[[Results], bool]:
    """A claim: the last of these values is below `to` times the first."""
    return lambda r: r[key][-1] < to * r[key][0]


def holds(*keys: str) -> Callable[[Results], bool]:
    """A claim: these results are true."""
    return lambda r: all(bool(r[key]) for key in keys)


# Each program with what must be true of its results whether or not PyTorch is there to compare.
PROGRAMS: dict[Callable[[Any], Results], Callable[[Results], bool]] = {
    training.linear_regression: falls(to=0.05),
    training.mlp_classifier: falls(to=0.7),
    training.cnn_with_schedule: falls(),
    training.autoencoder: falls(),
    training.variational_autoencoder: falls(),
    training.gan_step: lambda r: all(0 < v < 5 for v in r["d"] + r["g"]),
    training.skip_gram: falls(to=0.7),
    training.rnn_by_hand: falls(to=0.7),
    differentiation.attention_by_hand: lambda r: not r["w"][0, 0, 0, 1:].any(),
    differentiation.custom_function: holds("ok"),
    differentiation.gradient_penalty: lambda r: all(map(math.isfinite, r["penalty"])),
    differentiation.gradient_accumulation: holds("same"),
    differentiation.weight_tying: holds("tied"),
    differentiation.freezing: lambda r: r["changed"] == [False] * 2 + [True] * 4 and r["frozen"],
    differentiation.clipping_and_hooks: lambda r: len(r["seen"]) == 4,
    differentiation.moving_average: lambda r: r["version"] == 10,
    differentiation.hessian_vector_product: holds("same"),
    differentiation.inplace_and_views: holds("error"),
    state.checkpoint_and_resume: holds("equal"),
    state.deepcopied_model: lambda r: r["twin"].eq(7).all() and not r["w"].eq(7).any(),
    state.metrics: lambda r: int(r["counts"].sum()) == 20,
    state.state_dict_surgery: holds("equal", "errors"),
    state.printing: lambda r: r["format"] == "2.50 tensor([1, 2])    3",
    state.dtype_zoo: lambda r: r["values"][0].tolist() == [4, 20],
}

each_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)


def run(program: Callable[[Any], Results], module: Any) -> Results:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.manual_seed(0)
        return program(module)


@each_program
def test_program_does_what_it_claims(program):
    assert PROGRAMS[program](run(program, disttorch))


@pytest.mark.parity
@each_program
def test_program_gives_what_pytorch_gives(program):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    compare(run(program, disttorch), run(program, torch), program.__name__)


def compare(actual: Any, wanted: Any, where: str) -> None:
    """Equal text and structure, numbers to single precision; `where` names the place."""
    if hasattr(wanted, "detach"):
        assert actual.shape == tuple(wanted.shape), where
        assert str(actual.dtype) == str(wanted.dtype), where
        assert actual.requires_grad == wanted.requires_grad, where
        actual, wanted = (t.detach().double().numpy() for t in (actual, wanted))
        np.testing.assert_allclose(actual, wanted, rtol=2e-4, atol=2e-5, err_msg=where)
    elif isinstance(wanted, dict):
        assert list(actual) == list(wanted), where
        for key in wanted:
            compare(actual[key], wanted[key], f"{where}[{key!r}]")
    elif isinstance(wanted, (list, tuple)):
        assert len(actual) == len(wanted), where
        for i, (a, w) in enumerate(zip(actual, wanted, strict=True)):
            compare(a, w, f"{where}[{i}]")
    elif isinstance(wanted, float):
        np.testing.assert_allclose(actual, wanted, rtol=2e-4, atol=2e-5, err_msg=where)
    else:
        assert actual == wanted, where
