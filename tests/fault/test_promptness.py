"""`python -m tests.fault.promptness 20` is the full run."""

import pytest

from disttorch_launcher.supervisor import Policy
from tests.fault import promptness

pytestmark = pytest.mark.fault
SLACK_S = 2.0  # for a busy machine
ENDING_S = 0.2  # to see that all has gone, and report it


def test_what_is_waited_for_leaves_time_to_end():
    assert Policy(frozenset()).settle_s + ENDING_S < promptness.ENDED_WITHIN_S - promptness.GRACE_S


def test_a_failure_is_told_before_the_job_has_ended(tmp_path):
    assert promptness.told_after_s(tmp_path) < promptness.TOLD_WITHIN_S + SLACK_S


def test_a_killed_rank_ends_a_job_whose_other_ranks_will_not(tmp_path):
    took_s = promptness.ended_after_s(tmp_path, victim=1)
    assert promptness.GRACE_S <= took_s < promptness.ENDED_WITHIN_S + SLACK_S
