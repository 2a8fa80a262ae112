"""A rank that fails in the middle: every way that data takes, at some stop, with some fault.

Worlds, faults and stops in turn; `python -m tests.fault.stops` tries all of them.
"""

import pytest

from tests.fault.courses import COURSES
from tests.fault.stops import FAULTS, Findings, check

pytestmark = pytest.mark.fault


def _sample():
    worlds = {}
    for course in COURSES:
        worlds.setdefault(course.partition(": ")[2], []).append(course)
    for i, (name, courses) in enumerate(worlds.items()):
        # All have two stops at the least, those with plans a dozen.
        at = i % 2 if name.endswith(("direct", "staged")) else i % 5
        yield courses[i % len(courses)], list(FAULTS)[i % len(FAULTS)], at


@pytest.mark.parametrize(("course", "fault", "at"), list(_sample()))
def test_all_are_told_or_done_and_keep_nothing(course, fault, at):
    findings = Findings()
    check(course, fault, at, findings)
    assert findings.faults == []
    assert findings.ends, "the rank did not come to this stop"
