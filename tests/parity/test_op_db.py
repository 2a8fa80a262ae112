"""Every operator of PyTorch's test data, some samples a dtype; all of them: docs/parity.md."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
pytest.importorskip("expecttest", reason="PyTorch's test data needs expecttest")

from tests.parity import op_entries
from tests.parity.known_gaps import ERROR_GAPS, GAPS
from tests.parity.op_checks import run_entry

pytestmark = pytest.mark.parity
ENTRIES = {op_entries.label(op): op for op in op_entries.entries()}
SAMPLES = 3  # a dtype; the whole table takes four minutes


@pytest.mark.parametrize("label", sorted(ENTRIES.keys() - GAPS.keys()))
def test_operator_agrees_with_pytorch(label):
    outcome = run_entry(ENTRIES[label], SAMPLES)
    assert outcome.passed, "\n".join(outcome.failures) or f"{label} is missing"
    untold = outcome.errors - outcome.errors_agreed
    assert untold <= ERROR_GAPS.get(label, 0), "\n".join(outcome.failures)


def test_gaps_are_entries():
    assert GAPS.keys() | ERROR_GAPS.keys() <= ENTRIES.keys()
