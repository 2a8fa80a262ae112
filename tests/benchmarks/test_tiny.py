"""Every statement of the table of tiny operators runs, and so do the stages of one."""

from timeit import Timer

import pytest

import disttorch
from benchmarks import tiny


@pytest.fixture(scope="module")
def names():
    return tiny.namespace(disttorch)


@pytest.mark.parametrize("statement", tiny.STATEMENTS)
def test_statement_runs(names, statement):
    assert Timer(statement, tiny.PREPARE, globals=names).timeit(1) > 0


def test_statements_differ():
    assert len(set(tiny.STATEMENTS)) == len(tiny.STATEMENTS)


def test_stages_are_printed(capsys):
    tiny.print_stages(rounds=1)
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == [
        title for title, _ in tiny.STAGES
    ]


def test_ratios_have_one_time_for_each_library():
    ((statement, times),) = tiny.ratios(["x * y"], (disttorch, disttorch), rounds=1)
    assert statement == "x * y"
    assert len(times) == 2
    assert min(times) > 0
