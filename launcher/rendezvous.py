"""How the hosts of a job meet: host 0 serves a store at the endpoint, the others come to it.

The store is TCP, and only holders of the job's key can speak to it. Every host says which number
it claims, of how many, and how many ranks it brings; whoever disagrees is told in one line, and so
are the others. The store outlives each host's ranks until all hosts have ended (`host_link`).
"""

import contextlib
import os
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from disttorch.comm.curve import VARIABLE, JobKey
from disttorch.comm.errors import DistStoreError, StoreTimeoutError
from disttorch.comm.store import StoreServer, ZmqStore
from disttorch_launcher.config import Hosts, UsageError
from disttorch_launcher.ranks import RankSlot, assign_ranks

LOOK_EVERY_S = 0.25
# A store that lets us connect and then says nothing for so long has another key.
ANSWER_S = 2.0
# After a refusal host 0 serves so long for hosts that have come and have not read it.
TELL_S = 2.0
# A waiting host that has not been heard of for so long has died: another may take its place.
HELD_S = 3.0
REFUSED = "job/refused"
N_CAME = "job/came"
N_TOLD = "job/told"


@dataclass
class Meeting:
    """What the hosts agreed on; `server` is there on host 0 alone.

    The store is at `address` for the ranks, at `near` for this host's launcher.
    """

    hosts: Hosts
    key: JobKey
    slots: list[RankSlot]
    address: str
    near: str
    client: ZmqStore
    server: StoreServer | None

    def close(self) -> None:
        """End the connection, and on host 0 the store."""
        self.client.close()
        if self.server is not None:
            self.server.close()


def read_key(hosts: Hosts, text: str) -> JobKey:
    """The job's key: `text` (DISTTORCH_KEY), or --key-file, which host 0 makes where it is missing.

    Raises UsageError where there is none, or where others may read it.
    """
    try:
        if text:
            return JobKey.from_text(text)
        if not hosts.key_file:
            raise UsageError(
                f"several hosts need one key: --key-file FILE on all of them, or {VARIABLE}"
            )
        return JobKey.from_text(_key_text(Path(hosts.key_file), make=hosts.node == 0))
    except OSError as error:
        raise UsageError(f"--key-file {hosts.key_file}: {error.strerror}") from None
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"the job's key: {error}") from None


def meet(hosts: Hosts, n_ranks: int, key: JobKey, max_restarts: int = 0) -> Meeting:
    """Wait for all hosts; UsageError says, in a line, which of them does not fit and how."""
    with contextlib.ExitStack() as undo:
        server = None
        if hosts.node == 0:
            server = undo.enter_context(_serve(hosts, key))
        else:
            _reach(hosts)
        # A server's own name need not be known on its host.
        name = "127.0.0.1" if server is not None else _bracketed(hosts.address)
        near = f"tcp://{name}:{hosts.port}"
        client = undo.enter_context(ZmqStore(near, ANSWER_S, key))
        counts = _agree(client, hosts, n_ranks, max_restarts)
        undo.pop_all()
    address = f"tcp://{_bracketed(hosts.address)}:{hosts.port}"
    slots = assign_ranks(counts, hosts.node)
    return Meeting(hosts, key, slots, address, near, client, server)


def _key_text(path: Path, *, make: bool) -> str:
    if make and not path.exists():
        _make_key(path)
    try:
        file = path.open()
    except FileNotFoundError:
        raise UsageError(
            f"key file {path} is not there: copy it from host 0, which makes it"
        ) from None
    with file:
        found = os.fstat(file.fileno())  # of what is read, whatever the name leads to next
        mode = found.st_mode & 0o777
        if mode & 0o077:
            raise UsageError(
                f"key file {path} may be read by others (mode {mode:o}): chmod 600 {path}"
            )
        if found.st_uid not in (os.geteuid(), 0):
            raise UsageError(f"key file {path} belongs to another user (number {found.st_uid})")
        return file.read().strip()


def _make_key(path: Path) -> None:
    """A new key at `path`, whole from its first moment there; one that is there already stays."""
    making = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    fd = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(fd, "w") as file:
            file.write(JobKey.new().to_text() + "\n")
            file.flush()
            os.fsync(fd)
        with contextlib.suppress(FileExistsError):
            os.link(making, path)
    finally:
        making.unlink()


def _serve(hosts: Hosts, key: JobKey) -> StoreServer:
    try:
        server = StoreServer(f"tcp://*:{hosts.port}", key)
    except DistStoreError as error:
        in_use = "in use" in str(error)
        why = "another program uses it" if in_use else str(error)
        raise UsageError(
            f"port {hosts.port} of --rdzv-endpoint cannot be served here: {why}; choose another, "
            f"the same on all hosts"
        ) from None
    server.start()
    return server


def _reach(hosts: Hosts) -> None:
    """Wait until something listens at the endpoint: host 0 may be started last."""
    deadline_s = time.monotonic() + hosts.join_s
    while True:
        try:
            with socket.create_connection((hosts.address, hosts.port), timeout=ANSWER_S):
                return
        except OSError as error:
            if time.monotonic() + LOOK_EVERY_S > deadline_s:
                raise UsageError(
                    f"host 0 cannot be reached at {hosts.address}:{hosts.port} within "
                    f"{hosts.join_s:g} s: {error.strerror or error}; is it started, with "
                    f"--node-rank 0, and the port open?"
                ) from None
        time.sleep(LOOK_EVERY_S)


def _agree(client: ZmqStore, hosts: Hosts, n_ranks: int, max_restarts: int) -> list[int]:
    """How many ranks each host brings; who is refused leaves no earlier than all have been told."""
    try:
        client.add(N_CAME, 1)
    except DistStoreError:
        raise UsageError(
            f"{hosts.address}:{hosts.port} does not answer to this key: it must be the same on all "
            f"hosts, and the port must be that of host 0"
        ) from None
    try:
        own = _claim(client, hosts, n_ranks, max_restarts)
        return _wait_for_all(client, hosts, own)
    except UsageError:
        with contextlib.suppress(DistStoreError):
            _wait_until_told(client, hosts)
        raise
    except DistStoreError:
        raise UsageError(
            f"host 0 went away from {hosts.address}:{hosts.port} before all hosts had met; its own "
            f"screen says why"
        ) from None


def _wait_until_told(client: ZmqStore, hosts: Hosts) -> None:
    """Count this host as told; host 0 then keeps the store for the others, TELL_S at most."""
    n_told = client.add(N_TOLD, 1)
    deadline_s = time.monotonic() + TELL_S
    while hosts.node == 0 and n_told < client.add(N_CAME, 0) and time.monotonic() < deadline_s:
        time.sleep(TELL_S / 100)
        n_told = client.add(N_TOLD, 0)


def _claim(client: ZmqStore, hosts: Hosts, n_ranks: int, max_restarts: int) -> str:
    """Take this host's number; returns what stands for the claim, equal to no other host's."""
    who = f"{socket.gethostname()} (pid {os.getpid()})"
    own = f"{who}\n{uuid.uuid4().hex}"
    for option, number in (("--nnodes", hosts.n_nodes), ("--max-restarts", max_restarts)):
        first = client.compare_set(f"job/{option}", "", str(number)).decode()
        if first != str(number):
            _refuse(client, f"{option} is {number} on {who} and {first} on another host")
    name = f"host/{hosts.node}"
    held = client.compare_set(name, "", own).decode()
    if held != own and _is_given_up(client, hosts):
        held = client.compare_set(name, held, own).decode()
    if held != own:
        _refuse_both(client, hosts.node, held, own)
    client.set(f"{name}/ranks", str(n_ranks))
    return own


def _is_given_up(client: ZmqStore, hosts: Hosts) -> bool:
    """Whether the host that has claimed this number died while it waited: HELD_S without a beat.

    Once all have met nobody beats any more, and nobody is replaced.
    """
    beats = f"host/{hosts.node}/beats"
    before, until_s = client.add(beats, 0), time.monotonic() + HELD_S
    while client.add(beats, 0) == before:
        if client.check(_rank_keys(hosts)):
            return False
        if time.monotonic() > until_s:
            return True
        time.sleep(LOOK_EVERY_S)
    return False


def _rank_keys(hosts: Hosts) -> list[str]:
    return [f"host/{node}/ranks" for node in range(hosts.n_nodes)]


def _refuse_both(client: ZmqStore, node: int, *claims: str) -> None:
    first, second = (claim.partition("\n")[0] for claim in claims)
    _refuse(client, f"--node-rank {node} is claimed by both {first} and {second}")


def _refuse(client: ZmqStore, why: str) -> None:
    text = f"{why}: start each host with its own --node-rank and otherwise the same options"
    client.compare_set(REFUSED, "", text)
    raise UsageError(text)


def _wait_for_all(client: ZmqStore, hosts: Hosts, own: str) -> list[int]:
    keys, name = _rank_keys(hosts), f"host/{hosts.node}"
    deadline_s = time.monotonic() + hosts.join_s
    while True:
        try:
            if client.check([REFUSED]):
                raise UsageError(client.get(REFUSED).decode())
            client.add(f"{name}/beats", 1)
            held = client.compare_set(name, own, own).decode()
            if held != own:  # this process had been stopped for longer than HELD_S
                _refuse_both(client, hosts.node, own, held)
            return [int(text) for text in client.multi_get(keys, LOOK_EVERY_S)]
        except StoreTimeoutError:
            missing = [str(n) for n, key in enumerate(keys) if not client.check([key])]
        if time.monotonic() > deadline_s:
            why = (
                f"host {', '.join(missing)} of {hosts.n_nodes} did not come within "
                f"{hosts.join_s:g} s (--join-timeout)"
            )
            client.compare_set(REFUSED, "", why)  # without this host the others need not wait
            raise UsageError(why)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
