"""Sizes and import costs of what is surely installed, and the promise on the base install."""

import sys

import pytest

from benchmarks.footprint import import_cost, installed_bytes

MAX_BASE_BYTES = 100e6


def test_base_install_is_small():
    sizes = installed_bytes("disttorch")
    assert {"disttorch", "numpy", "pyzmq", "cloudpickle", "rich"} <= sizes.keys()
    assert "torch" not in sizes
    assert all(size > 0 for size in sizes.values()), sizes
    assert sum(sizes.values()) < MAX_BASE_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_import_cost():
    cost = import_cost("json")
    assert 0 < cost["seconds"] < 10
    assert 1e6 < cost["rss_bytes"] < 1e9
