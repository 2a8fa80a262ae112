"""One-line programs, of `expressions.txt`: the same value, dtype, shape or error under PyTorch.

A line is statements and a last expression, separated by ``;;``; `torch`, `nn`, `F`, `np`, `copy`,
`pickle` and `io` are there.
"""

from __future__ import annotations

import copy
import io
import math
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import disttorch

LINES = [
    line
    for line in (Path(__file__).parent / "expressions.txt").read_text().splitlines()
    if line and not line.startswith("#")
]

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def torch():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize("line", LINES)
def test_line_gives_what_pytorch_gives(torch, line):
    actual, wanted = outcome(line, disttorch), outcome(line, torch)
    assert alike(actual, wanted), f"\nhere:    {actual}\nPyTorch: {wanted}"


def outcome(line: str, module: Any) -> Any:
    """What a line evaluates to, or the type and first line of its error."""
    names = {"torch": module, "nn": module.nn, "F": module.nn.functional}
    names |= {"np": np, "copy": copy, "pickle": pickle, "io": io}
    *statements, expression = (part.strip() for part in line.split(";;"))
    module.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for statement in statements:
                exec(statement, names)
            return plain(eval(expression, names))
        except Exception as error:
            text = re.sub(r"0x[0-9a-f]+", "0x", str(error)).replace("disttorch", "torch")
            return ["error", type(error).__name__, text.split("\n")[0]]


def plain(value: Any) -> Any:
    """A value as numbers, strings and lists, which both libraries have in common."""
    if hasattr(value, "detach"):
        data = value.detach()
        numbers = (data.double() if data.dtype.is_floating_point else data).tolist()
        what = [str(value.dtype), list(value.shape), value.requires_grad, value.is_leaf]
        return ["tensor", *what, numbers]
    if isinstance(value, np.ndarray):
        return ["array", str(value.dtype), list(value.shape), value.tolist()]
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (int, float, complex, str, type(None))):
        return value
    return [type(value).__name__, re.sub(r"disttorch\.|0x[0-9a-f]+", "", repr(value))]


def alike(a: Any, b: Any) -> bool:
    """Whether two plain values are equal, floats to single precision."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float):
        return math.isclose(a, b, rel_tol=1e-5) or a == b or (math.isnan(a) and math.isnan(b))
    return a == b  # type: ignore[no-any-return]
