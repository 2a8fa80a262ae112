"""What the module tests share: torch, for those that compare with it."""

from __future__ import annotations

import pytest


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch not installed")
