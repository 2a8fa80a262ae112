"""Rows of `ops/arithmetic_integer.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, binary, ints

SPECS = tuple(OpSpec(name, ref=getattr(np, name), samples=binary(ints)) for name in ("gcd", "lcm"))
