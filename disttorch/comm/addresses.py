"""Under which address this host is reached by the others, and which it has."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Mapping

from disttorch.comm.errors import DistNetworkError

# Whoever is told by one of these how to reach this host: the first that is set.
VARIABLES = ("DISTTORCH_ADDR", "GLOO_SOCKET_IFNAME")
_LOOPBACK = "127.0.0.1"
# Of a network that exists in documentation only (RFC 5737): the way there is the default route.
_FAR_AWAY = "192.0.2.1"
_SIOCGIFADDR = 0x8915
# A name and an address; the latter's 4 bytes lie behind its family and port.
_REQUEST = struct.Struct("16s16s")


def own_address(environ: Mapping[str, str] = os.environ) -> str:
    """This host's address on the interface that leads to the master, or that of VARIABLES.

    These hold an address or the names of interfaces, of which the first that there is counts.
    Raises DistNetworkError, which has all there are, for anything else.
    """
    for variable in VARIABLES:
        if given := environ.get(variable, ""):
            return _named(given, variable)
    master = environ.get("MASTER_ADDR", "") or _LOOPBACK
    address = _address_towards(master)
    # Many systems map a host's own name to 127.0.1.1, which leads the others nowhere.
    if address.startswith("127.") and not master.startswith("127.") and master != "localhost":
        return _address_towards(_FAR_AWAY)
    return address


def interfaces() -> dict[str, str]:
    """The IPv4 addresses of this host's interfaces, by their names."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                told = fcntl.ioctl(probe, _SIOCGIFADDR, _REQUEST.pack(name.encode(), b""))
            except OSError:
                continue  # it has none
            found[name] = socket.inet_ntoa(_REQUEST.unpack(told)[1][4:8])
    return found


def in_words() -> str:
    """`lo 127.0.0.1, eth0 10.0.0.5`."""
    return ", ".join(f"{name} {address}" for name, address in interfaces().items())


def _named(given: str, variable: str) -> str:
    known = interfaces()
    for name in given.split(","):
        if name in known:
            return known[name]
    try:
        return str(ipaddress.ip_address(given))
    except ValueError:
        raise DistNetworkError(
            f"{variable} is {given!r}: neither an address nor an interface of this host, which has "
            f"{in_words()}"
        ) from None


def _address_towards(host: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: this only asks the routing table.
            probe.connect((host, 9))
        except OSError:
            return _LOOPBACK
        return str(probe.getsockname()[0])
