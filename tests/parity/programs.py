"""Small programs, functions of the library, that give the same in PyTorch and here.

Both libraries start from the same seed, whose random numbers are the same; what a program returns
(tensors, text, containers of them) and what it raises or warns of must agree.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import disttorch
from tests.parity import optim_db


def outcome(library, run):
    library.manual_seed(0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        result = run(library)
    kinds = (UserWarning, FutureWarning)
    texts = [str(w.message) for w in seen if issubclass(w.category, kinds)]
    return (optim_db.to_ours(result) if library is not disttorch else result), texts


def agree(got, want, where="result"):
    if isinstance(want, disttorch.Tensor):
        assert got.dtype is want.dtype, where
        assert got.requires_grad == want.requires_grad, where
        a, b = got.detach().numpy(), want.detach().numpy()
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6, err_msg=where)
    elif isinstance(want, dict):
        assert list(got) == list(want), where
        for key, value in want.items():
            agree(got[key], value, f"{where}[{key!r}]")
    elif isinstance(want, (list, tuple)):
        assert len(got) == len(want), (where, got, want)
        for i, value in enumerate(want):
            agree(got[i], value, f"{where}[{i}]")
    else:
        assert got == want, where


def refused(*calls):
    """The errors of several calls."""
    texts = []
    for call in calls:
        try:
            call()
        except Exception as error:
            text = str(error).replace("disttorch.", "torch.")
            texts.append((type(error).__name__, text))
        else:
            texts.append("no error")
    return texts


def trained(t, module, x, n_steps=3):
    """State and output after some steps of gradient descent."""
    optimiser = t.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(n_steps):
        optimiser.zero_grad()
        module(x).pow(2).sum().backward()
        optimiser.step()
    return module.state_dict(), module(x)


def check(program: Any) -> None:
    """Run a program in both libraries and compare."""
    import torch

    want, their_warnings = outcome(torch, program)
    got, our_warnings = outcome(disttorch, program)
    agree(got, want)
    assert our_warnings == their_warnings
