"""What is said about the `fast` extra, and that a program which needs no kernel loads none."""

import subprocess
import sys

import pytest

from disttorch.backends.cpu import fast
from disttorch.backends.cpu.jit import switch
from disttorch.backends.cpu.onednn import library

SCRIPT = """
import sys
import disttorch as torch
from disttorch.backends.cpu import fast
x = torch.ones(600, 600, requires_grad=True)
torch.optim.Adam([x])
for _ in range(3):
    x.exp().sigmoid().sum().backward()
print(sorted(fast.in_use()), "numba" in sys.modules)
"""


@pytest.mark.parametrize("setting", ["off", "at once", "when worthwhile"])
def test_both_parts_are_described(monkeypatch, setting):
    monkeypatch.setattr(switch, "setting", lambda: setting)
    monkeypatch.setattr(library, "setting", lambda: setting)
    monkeypatch.setattr(switch, "has_numba", switch.has_numba.__wrapped__)
    monkeypatch.setattr(library, "_load", library._load.__wrapped__)
    found = fast.in_use()
    assert found.keys() == {"numba", "onednn"}
    if setting == "off":
        assert set(found.values()) == {"switched off by DISTTORCH_FAST=0"}
        assert library.library() is None
    else:
        assert "DISTTORCH_FAST" not in "".join(found.values())


def test_a_short_program_does_not_import_numba():
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=50, check=True
    )
    assert result.stdout.split("]")[1].strip() == "False"
