"""One look for leaks around the whole table: one after each of its 3,000 tests is slow."""

from __future__ import annotations

import pytest

from tests import leaks


@pytest.fixture(autouse=True)
def _no_leaks():
    """Replace the check of every test."""


@pytest.fixture(autouse=True, scope="module")
def _no_leaks_in_the_table(_session_mark):
    """Fail if the table leaves threads, descriptors, processes, shared memory or settings."""
    check = leaks.LeakCheck()
    yield
    left = check.wait(2.0)
    assert not left, "the table left behind:\n  " + "\n  ".join(left)
