"""One job of each kind that `python -m tests.fault.cycles 200` runs by the hundred."""

import pytest

from tests.fault.cycles import CYCLES, cycle

pytestmark = pytest.mark.fault


@pytest.mark.parametrize("name", CYCLES)
def test_cycle_leaves_nothing(name, tmp_path):
    assert cycle(tmp_path, name, n_ranks=2) == ""
