"""Rooms of torch.distributed: those that are missing say so, those for imports are there."""

import importlib

import pytest

from disttorch import distributed as dist
from disttorch.distributed.absent import INSTEAD


@pytest.mark.parametrize("name", INSTEAD)
def test_an_absent_room_says_what_to_do_instead(name):
    with pytest.raises(ModuleNotFoundError, match=f"torch.distributed.{name} is not in disttorch"):
        importlib.import_module(f"disttorch.distributed.{name}")
    with pytest.raises(AttributeError, match=f"torch.distributed.{name} is not in disttorch"):
        getattr(dist, name)


def test_other_missing_modules_are_reported_as_ever():
    with pytest.raises(ModuleNotFoundError, match="No module named"):
        importlib.import_module("disttorch.distributed.typo")
    assert not hasattr(dist, "fsdp") and not hasattr(dist, "typo")


def test_deeper_rooms_are_as_absent():
    with pytest.raises(ModuleNotFoundError, match=r"torch\.distributed\.fsdp is not in disttorch"):
        importlib.import_module("disttorch.distributed.fsdp.wrap")
