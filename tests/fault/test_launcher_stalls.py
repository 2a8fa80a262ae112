"""Stalls put into real jobs: the report names the rank that keeps the others waiting, and its line.

A few of each kind here; `python -m tests.fault.stalls 50` does as many as asked for.
"""

import pytest

from tests.fault.stalls import KINDS, check_stall

pytestmark = pytest.mark.fault


@pytest.mark.parametrize("kind", KINDS)
def test_stall_names_the_rank_and_its_line(kind, tmp_path):
    assert check_stall(tmp_path, kind, n_ranks=3, guilty=1) == ""
