"""Every store answers alike; the server outlives garbage and its clients' deaths."""

import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from disttorch.comm.curve import JobKey
from disttorch.comm.errors import (
    DistNetworkError,
    DistStoreError,
    QueueEmptyError,
    StoreTimeoutError,
)
from disttorch.comm.store import (
    FileStore,
    HashStore,
    PrefixStore,
    Store,
    StoreServer,
    TCPStore,
    ZmqStore,
)
from disttorch.comm.wire import MAX_VALUE_BYTES


@pytest.fixture
def server(tmp_path: Path):
    tmp_path.chmod(0o700)
    with StoreServer(f"ipc://{tmp_path}/store.sock") as server:
        server.start()
        yield server


@pytest.fixture(params=["hash", "prefix", "zmq", "file", "tcp", "tcp with a key"])
def store(request: pytest.FixtureRequest):
    made: Store
    if request.param == "zmq":
        made = ZmqStore(request.getfixturevalue("server").address, timeout_s=20.0)
    elif request.param == "file":
        made = FileStore(str(request.getfixturevalue("tmp_path") / "store"), timeout_s=20.0)
    elif request.param.startswith("tcp"):
        environ = {"DISTTORCH_KEY": JobKey.new().to_text()} if "key" in request.param else {}
        made = TCPStore("localhost", 0, 1, True, 20.0, environ=environ)
        made.delete_key("init/")
    else:
        made = HashStore(20.0)
        if request.param == "prefix":
            made = PrefixStore("part", made)
    yield made
    made.close()


def test_operations(store: Store) -> None:
    store.set("k", "text")
    store.set("b", b"\x00\xff")
    assert store.multi_get(["b", "k"]) == [b"\x00\xff", b"text"]
    assert [store.add("n", 2), store.add("n", -5)] == [2, -3]
    assert store.get("n") == b"-3"
    assert store.check(["k", "n"])
    assert not store.check(["k", "missing"])
    assert store.num_keys() == 3
    assert store.delete_key("k")
    assert not store.delete_key("k")
    assert store.multi_get([]) == []


def test_pytorchs_further_operations(store: Store) -> None:
    store.append("a", "x")
    store.append("a", b"y")
    assert store.get("a") == b"xy"
    store.multi_set(["p", "q"], ["1", b"2"])
    assert store.multi_get(["p", "q"]) == [b"1", b"2"]
    with pytest.raises(DistStoreError, match="multiSet keys and values vectors must be of same"):
        store.multi_set(["p"], [])
    store.set_timeout(timedelta(milliseconds=50))
    assert store.timeout == timedelta(milliseconds=50)
    with pytest.raises(StoreTimeoutError, match=r"after 0.05 s, keys never set: \[.*none"):
        store.get("none")
    with pytest.raises(StoreTimeoutError, match=r"after 0.02 s"):
        store.wait(["none"], timedelta(milliseconds=20))
    assert store.has_extended_api()


def test_keys_are_listed(store: Store) -> None:
    assert store.list_keys() == []
    keys = ["a", "b/c", "\u00e9"]
    for key in keys:
        store.set(key, "1")
    assert sorted(store.list_keys()) == keys
    if isinstance(store, PrefixStore):
        assert sorted(store.underlying_store.list_keys()) == [f"part/{key}" for key in keys]


def test_a_clone_is_the_same_store_with_its_own_time_out(store: Store) -> None:
    store.set("k", "1")
    twin = store.clone()
    twin.set_timeout(0.02)
    assert twin.get("k") == b"1"
    with pytest.raises(StoreTimeoutError):
        twin.get("none")
    twin.set("k", "2")
    twin.close()
    assert (store.get("k"), store.timeout_s) == (b"2", 20.0)


def test_a_barrier_ends_when_all_have_come(store: Store) -> None:
    with pytest.raises(StoreTimeoutError, match="last_member"):
        store.barrier("alone", 2, timedelta(milliseconds=20))
    other = threading.Thread(target=store.barrier, args=("both", 2))
    other.start()
    store.barrier("both", 2)
    other.join(20)
    assert not other.is_alive()


def test_queues_give_each_value_to_one_taker(store: Store) -> None:
    if isinstance(store, FileStore):
        with pytest.raises(NotImplementedError, match="queue support is not implemented"):
            store.queue_push("q", "1")
        return
    with pytest.raises(QueueEmptyError, match="queue is empty"):
        store.queue_pop("q", block=False)
    taken: list[bytes] = []
    takers = [threading.Thread(target=lambda: taken.append(store.queue_pop("q"))) for _ in range(3)]
    for taker in takers:
        taker.start()
    for value in ("1", b"2", "3"):
        store.queue_push("q", value)
    for taker in takers:
        taker.join(20)
    assert sorted(taken) == [b"1", b"2", b"3"]
    assert (store.queue_len("q"), store.check(["q"])) == (0, False)
    store.queue_push("q", "4")
    store.wait(["q"])
    assert (store.queue_len("q"), store.check(["q"]), store.list_keys()) == (1, True, [])
    assert store.queue_pop("q", False) == b"4"


def test_what_a_dead_taker_would_have_had_is_for_the_next(server: StoreServer) -> None:
    code = f"""
from disttorch.comm.store import ZmqStore
store = ZmqStore({server.address!r}, timeout_s=20.0)
store.set("here", "1")
store.queue_pop("q")
"""
    store = ZmqStore(server.address, timeout_s=20.0)
    with store, subprocess.Popen([sys.executable, "-c", code]) as taker:
        store.wait(["here"])
        deadline = time.monotonic() + 20
        while not server._service._parked:
            assert time.monotonic() < deadline
            store.check(["here"])
        taker.kill()
        taker.wait(20)
        # Who connects later is heard later: the server has seen the other's connection end.
        with ZmqStore(server.address, timeout_s=20.0) as later:
            later.queue_push("q", "1")
            assert later.queue_pop("q", block=False) == b"1"


def test_queues_and_keys_of_one_name_do_not_meet(store: Store) -> None:
    if isinstance(store, FileStore):
        pytest.skip("a file has no queues")
    own = store.underlying_store if isinstance(store, PrefixStore) else store
    own.set_timeout(0.02)
    own.queue_push("q", "1")
    own.set("k", "2")
    with pytest.raises(StoreTimeoutError):
        own.get("q")
    with pytest.raises(StoreTimeoutError):
        own.queue_pop("k")
    assert (own.queue_pop("q"), own.get("k")) == (b"1", b"2")


@pytest.mark.parametrize(
    ("held", "expected", "desired", "answer"),
    [
        (None, "", "new", b"new"),
        (None, "old", "new", b"old"),
        ("old", "old", "new", b"new"),
        ("old", "other", "new", b"old"),
        ("old", "", "new", b"old"),
    ],
)
def test_compare_set(store: Store, held, expected, desired, answer) -> None:
    if held is not None:
        store.set("k", held)
    assert store.compare_set("k", expected, desired) == answer
    assert store.check(["k"]) == (held is not None or answer == b"new")


def test_get_waits_for_another_threads_set(store: Store) -> None:
    waiter_result: list[bytes] = []
    waiter = threading.Thread(target=lambda: waiter_result.append(store.get("late")))
    waiter.start()
    store.set("late", b"value")
    waiter.join(20)
    assert waiter_result == [b"value"]


def test_missing_keys_are_named_at_the_deadline(store: Store) -> None:
    store.set("here", b"1")
    with pytest.raises(StoreTimeoutError, match=r"wait timeout after 0\.05 s.*\['.*gone'\]"):
        store.wait(["here", "gone"], timeout_s=0.05)


def test_add_to_text_is_an_error(store: Store) -> None:
    store.set("k", "text")
    with pytest.raises(DistStoreError, match="not a number"):
        store.add("k", 1)


def test_prefixes_keep_users_apart() -> None:
    base = HashStore()
    PrefixStore("a", base).set("k", b"1")
    nested = PrefixStore("b", PrefixStore("a", base))
    nested.set("k", b"2")
    assert base.multi_get(["a/k", "a/b/k"]) == [b"1", b"2"]
    assert isinstance(nested.underlying_store, PrefixStore)


def test_the_server_outlives_raw_garbage(server: StoreServer) -> None:
    path = server.address.removeprefix("ipc://")
    with ZmqStore(server.address, 20.0) as client:
        for junk in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 40):
            with socket.socket(socket.AF_UNIX) as raw:
                raw.connect(path)
                raw.sendall(junk)
                raw.shutdown(socket.SHUT_WR)
                raw.settimeout(20)
                while _received(raw):
                    pass
        client.set("k", b"v")
        assert client.get("k") == b"v"
    assert server.dropped > 0


def _received(raw: socket.socket) -> bytes:
    try:
        return raw.recv(4096)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("frames", [[b"junk"], [b""] * 3, [b"dts1" + bytes(20), b"x" * 99]])
def test_the_server_outlives_malformed_messages(server: StoreServer, frames: list[bytes]) -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.DEALER) as raw:
        raw.setsockopt(zmq.LINGER, 20_000)
        raw.connect(server.address)
        raw.send_multipart(frames)
    with ZmqStore(server.address, 20.0) as client:
        client.set("k", b"v")
        while server.dropped == 0:
            client.add("asked", 1)
        assert client.get("k") == b"v"


def test_oversize_values_are_refused_by_the_client(server: StoreServer) -> None:
    with ZmqStore(server.address, 20.0) as client:
        with pytest.raises(DistStoreError, match="above the limit"):
            client.set("k", bytes(MAX_VALUE_BYTES + 1))
        assert client.num_keys() == 0


def test_oversize_frames_end_their_connection_only(server: StoreServer) -> None:
    import zmq

    with ZmqStore(server.address, 20.0) as client:
        with zmq.Context() as context, context.socket(zmq.DEALER) as raw:
            raw.setsockopt(zmq.LINGER, 0)
            monitor = raw.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            raw.connect(server.address)
            raw.send(bytes(MAX_VALUE_BYTES + 1))
            assert monitor.poll(20_000)
            raw.disable_monitor()
            monitor.close()
        assert client.num_keys() == 0


def test_calls_in_a_forked_child_do_not_disturb_the_parent(server: StoreServer) -> None:
    with ZmqStore(server.address, 20.0) as client:
        client.set("before", b"1")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                client.set("from child", client.get("before"))
                client.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert client.multi_get(["from child", "before"]) == [b"1", b"1"]


def test_the_socket_file_goes_with_the_server(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    server = StoreServer(f"ipc://{tmp_path}/store.sock")
    assert stat.S_ISSOCK((tmp_path / "store.sock").stat().st_mode)
    server.close()
    server.close()
    assert list(tmp_path.iterdir()) == []


def test_step_serves_without_a_thread(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with StoreServer(f"ipc://{tmp_path}/store.sock") as server:
        results: list[int] = []
        with ZmqStore(server.address, 20.0) as client:
            thread = threading.Thread(target=lambda: results.append(client.add("n", 4)))
            thread.start()
            while not results:
                server.step(0.01)
            thread.join(20)
        assert results == [4]


def test_a_served_address_cannot_be_taken_and_a_left_one_can(server: StoreServer) -> None:
    with pytest.raises(DistStoreError, match="another store"):
        StoreServer(server.address)
    with ZmqStore(server.address, 20.0) as client:
        assert client.add("n", 1) == 1
    left = Path(server.address.removeprefix("ipc://")).with_name("left.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    with StoreServer(f"ipc://{left}"):
        assert left.exists()


def test_a_closed_store_says_so(server: StoreServer) -> None:
    client = ZmqStore(server.address, 20.0)
    client.close()
    with pytest.raises(DistStoreError, match="was closed"):
        client.get("k")


def test_importing_the_store_loads_no_zmq() -> None:
    code = "import sys, disttorch.comm.store, disttorch.comm.env; assert 'zmq' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def eventually(true: Callable[[], bool]) -> bool:
    """Whether something comes true within 20 s."""
    end_s = time.monotonic() + 20
    while not true() and time.monotonic() < end_s:
        time.sleep(1e-3)
    return true()


KEY = JobKey.new()
STRANGERS = {"another key": JobKey.new(), "no key": None}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_only_holders_of_the_key_are_served(stranger: str) -> None:
    with StoreServer("tcp://127.0.0.1:*", KEY) as server:
        server.start()
        with ZmqStore(server.address, 20.0, STRANGERS[stranger]) as outsider:
            with pytest.raises(DistStoreError, match=r"refused|may not be that of the job"):
                outsider.set("k", "stolen")
        assert eventually(lambda: server.dropped >= 1)
        with ZmqStore(server.address, 20.0, KEY) as rank:
            assert not rank.check(["k"])
            assert rank.add("n", 1) == 1


def test_bytes_that_are_no_handshake_leave_the_store_in_service() -> None:
    with StoreServer("tcp://127.0.0.1:*", KEY) as server:
        server.start()
        port = int(server.address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as garbage:
            garbage.sendall(b"\xff" * 9 + b"\x7f" + os.urandom(4096))
            with ZmqStore(server.address, 20.0, KEY) as rank:
                assert rank.add("n", 1) == 1


def test_hundreds_of_silent_connections_do_not_keep_ranks_out() -> None:
    with StoreServer("tcp://127.0.0.1:*", KEY) as server, ExitStack() as silent:
        server.start()
        port = int(server.address.rpartition(":")[2])
        n_before = len(os.listdir("/proc/self/fd"))
        rank = silent.enter_context(ZmqStore(server.address, 20.0, KEY))
        rank.set("k", "ours")
        for _ in range(400):
            stranger = silent.enter_context(socket.socket())
            stranger.setblocking(False)
            stranger.connect_ex(("127.0.0.1", port))
        assert eventually(lambda: server.dropped > 0)
        # Each stranger has one of our descriptors; the server's ends of most were never made.
        n_ours = len(os.listdir("/proc/self/fd")) - n_before - 400
        assert n_ours < 300, n_ours
        assert rank.get("k") == b"ours"
        silent.pop_all().close()
        with ZmqStore(server.address, 20.0, KEY) as late:
            assert late.get("k") == b"ours"


def test_tcp_needs_a_key() -> None:
    with pytest.raises(ValueError, match="needs a key, as others may reach it"):
        StoreServer("tcp://127.0.0.1:*")
    with pytest.raises(DistNetworkError, match="set DISTTORCH_KEY to one secret on all hosts"):
        TCPStore("192.0.2.1", 29500, 2, False, environ={})


@pytest.mark.parametrize("text", ["short", "ab" * 15, "not hexadecimal " * 4])
def test_bad_keys(text: str) -> None:
    with pytest.raises(ValueError, match="32 or more hexadecimal digits"):
        JobKey.from_text(text)


def test_a_key_is_not_printed() -> None:
    assert KEY.to_text() not in repr(KEY)
    assert JobKey.from_text(KEY.to_text()) == KEY


@pytest.mark.parametrize("key", [None, KEY], ids=["same host", "with a key"])
def test_a_server_that_goes_ends_waits_at_once(key: JobKey | None) -> None:
    environ = {} if key is None else {"DISTTORCH_KEY": key.to_text()}
    master = TCPStore("localhost", 0, None, True, 20.0, environ=environ)
    with TCPStore("localhost", master.port, None, False, 20.0, environ=environ) as rank:
        assert rank.add("n", 1) == 1
        started_s = time.monotonic()
        closer = threading.Timer(0.05, master.close)
        closer.start()
        with pytest.raises(DistStoreError, match="lost the connection to the store at"):
            rank.get("never set")
        assert time.monotonic() - started_s < 1.0
        closer.join()


def test_a_server_that_is_stopped_is_waited_for_as_long_as_was_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with StoreServer(f"ipc://{tmp_path}/store.sock") as server:  # which nothing makes serve
        with ZmqStore(server.address, 0.2) as store:
            for call in (lambda: store.set("k", "v"), lambda: store.get("k")):
                started_s = time.monotonic()
                with pytest.raises(StoreTimeoutError, match="no answer from"):
                    call()
                assert time.monotonic() - started_s < 2.0


def test_a_master_waits_for_its_workers() -> None:
    with pytest.raises(StoreTimeoutError, match=r"after 0.1 seconds .* 1/2 clients joined"):
        TCPStore("localhost", 0, 2, True, 0.1, environ={})


def test_two_masters_cannot_have_one_port() -> None:
    with (
        TCPStore("localhost", 0, 1, True, 20.0, environ={}) as first,
        pytest.raises(DistNetworkError, match="failed to listen on port"),
    ):
        TCPStore("localhost", first.port, 1, True, 20.0, environ={})
