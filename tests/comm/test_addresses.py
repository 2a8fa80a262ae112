"""The address that other hosts are told."""

from __future__ import annotations

import socket

import pytest

from disttorch.comm import addresses
from disttorch.comm.addresses import own_address
from disttorch.comm.curve import JobKey
from disttorch.comm.errors import DistNetworkError
from disttorch.comm.transport.tcp import Wire


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with three interfaces."""
    monkeypatch.setattr(
        addresses, "interfaces", lambda: {"lo": "127.0.0.1", "eth0": "10.0.0.5", "ib0": "10.9.0.5"}
    )


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({"DISTTORCH_ADDR": "10.1.2.3"}, "10.1.2.3"),
        ({"DISTTORCH_ADDR": "ib0"}, "10.9.0.5"),
        ({"GLOO_SOCKET_IFNAME": "eth0"}, "10.0.0.5"),
        ({"GLOO_SOCKET_IFNAME": "eth7,ib0,eth0"}, "10.9.0.5"),
        ({"DISTTORCH_ADDR": "10.1.2.3", "GLOO_SOCKET_IFNAME": "eth0"}, "10.1.2.3"),
        ({"MASTER_ADDR": "127.0.0.1"}, "127.0.0.1"),
        ({"MASTER_ADDR": "127.0.0.2"}, "127.0.0.1"),
        ({}, "127.0.0.1"),
    ],
)
def test_own_address(known: None, environ: dict[str, str], address: str) -> None:
    assert own_address(environ) == address


@pytest.mark.parametrize("variable", addresses.VARIABLES)
def test_an_interface_that_is_not_there_is_told_with_those_that_are(
    known: None, variable: str
) -> None:
    wanted = (
        f"{variable} is 'eth9': neither an address nor an interface of this host, which has "
        "lo 127.0.0.1, eth0 10.0.0.5, ib0 10.9.0.5"
    )
    with pytest.raises(DistNetworkError) as error:
        own_address({variable: "eth9"})
    assert str(error.value) == wanted


def test_own_name_that_means_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def towards(host: str) -> str:
        asked.append(host)
        return "127.0.1.1" if host == "alpha" else "10.0.0.5"

    monkeypatch.setattr(addresses, "_address_towards", towards)
    assert own_address({"MASTER_ADDR": "alpha"}) == "10.0.0.5"
    assert own_address({"MASTER_ADDR": "beta"}) == "10.0.0.5"
    assert asked == ["alpha", addresses._FAR_AWAY, "beta"]


def test_this_hosts_interfaces() -> None:
    found = addresses.interfaces()
    assert found.keys() <= {name for _, name in socket.if_nameindex()}
    assert "127.0.0.1" in found.values()
    assert f"{next(iter(found))} {next(iter(found.values()))}" in addresses.in_words()


def test_an_address_of_another_host_is_told_with_those_of_this() -> None:
    with pytest.raises(
        DistNetworkError, match=r"on 192\.0\.2\.1: .*; this host has .*127\.0\.0\.1"
    ):
        Wire(0, 2, 1, JobKey.new(), "192.0.2.1")
