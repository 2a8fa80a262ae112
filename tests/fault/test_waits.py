"""A rank that fails where the others wait for it: every wait, over both transports.

Faults and numbers of ranks in turn; `python -m tests.fault.waits` tries all of them everywhere.
"""

import pytest

from tests.fault.waits import FAULTS, WAITS, complaints, is_tried

pytestmark = pytest.mark.fault


@pytest.mark.parametrize("transport", ["shared memory", "tcp"])
@pytest.mark.parametrize("wait", WAITS)
def test_the_others_are_told_who_and_in_time(wait, transport, monkeypatch):
    monkeypatch.setenv("DISTTORCH_TRANSPORT", "tcp" if transport == "tcp" else "")
    turn = list(WAITS).index(wait) + 3 * (transport == "tcp")
    fault = list(FAULTS)[turn % len(FAULTS)]
    n_ranks = 2 + turn % 2 if is_tried(wait, fault, 3) else 2
    assert complaints(wait, fault, n_ranks) == []


@pytest.mark.parametrize("fault", ["raised", "killed"])
def test_a_receive_from_any_rank_ends_when_one_fails(fault, monkeypatch):
    monkeypatch.setenv("DISTTORCH_TRANSPORT", "")
    assert complaints("recv from any", fault, 3) == []
