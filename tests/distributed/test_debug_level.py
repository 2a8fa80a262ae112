"""The level of PyTorch's distributed logs."""

import pytest

from disttorch import distributed as dist


@pytest.fixture(autouse=True)
def _level_as_before():
    before = dist.get_debug_level()
    yield
    dist.set_debug_level(before)


@pytest.mark.parametrize(
    ("text", "level"),
    [("", "OFF"), ("OFF", "OFF"), ("info", "INFO"), ("DETAIL", "DETAIL")],
)
def test_the_environment_sets_the_level(text, level, monkeypatch):
    monkeypatch.setenv("TORCH_DISTRIBUTED_DEBUG", text)
    dist.set_debug_level_from_env()
    assert dist.get_debug_level() is dist.DebugLevel[level]


def test_other_values_are_refused(monkeypatch):
    monkeypatch.setenv("TORCH_DISTRIBUTED_DEBUG", "loud")
    with pytest.raises(RuntimeError, match="must be OFF, INFO, or DETAIL"):
        dist.set_debug_level_from_env()


def test_a_level_that_is_set_counts():
    dist.set_debug_level(dist.DebugLevel.DETAIL)
    assert dist.get_debug_level() is dist.DebugLevel.DETAIL
