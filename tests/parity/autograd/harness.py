"""Small programs about autograd, run under PyTorch and here: same values, same errors and texts.

A program takes the module (`torch` or `disttorch`) and returns numbers, tensors and strings in any
nesting; an exception is part of the result.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import disttorch

Program = Callable[[Any], Any]


class Programs(list[Program]):
    """The programs of one file; use it as their decorator."""

    def __call__(self, function: Program) -> Program:
        self.append(function)
        return function

    def check(self, function: Program) -> None:
        """Run a program under both and compare."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        torch.manual_seed(0)
        disttorch.manual_seed(0)
        compare(outcome(function, disttorch), outcome(function, torch))


def outcome(function: Callable[[Any], Any], module: Any) -> Any:
    """The result of a program as nested lists, or its exception's type and text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = function(module)
        except Exception as error:
            result = [type(error).__name__, normal(str(error))]
    return plain(result)


def normal(text: str) -> str:
    """An error's text without what may differ: addresses, module names, notes in later lines."""
    text = re.sub(r"0x[0-9a-f]+", "0x", text).replace("disttorch.", "torch.")
    return " ".join(text.split("\n")[0].split())


def plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "detach"):
        return [str(value.dtype), value.requires_grad, np.asarray(value.detach().numpy())]
    return value


def compare(actual: Any, wanted: Any) -> None:
    if isinstance(wanted, np.ndarray):
        assert actual.shape == wanted.shape
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)
    elif isinstance(wanted, list):
        assert isinstance(actual, list), (actual, wanted)
        assert len(actual) == len(wanted), (actual, wanted)
        for a, w in zip(actual, wanted, strict=True):
            compare(a, w)
    else:
        assert actual == wanted


def leaf(t, *values, dtype=None):
    return t.tensor(values, dtype=dtype or t.float64, requires_grad=True)


def errors(*calls: Callable[[], Any]) -> list[Any]:
    """What each call raises, or "no error"."""
    found = []
    for call in calls:
        try:
            call()
            found.append("no error")
        except Exception as error:
            found.append([type(error).__name__, normal(str(error))])
    return found
