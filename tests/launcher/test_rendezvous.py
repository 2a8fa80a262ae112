import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import pytest

from disttorch.comm.curve import JobKey
from disttorch.comm.store import StoreServer, ZmqStore
from disttorch_launcher import rendezvous
from disttorch_launcher.config import Hosts, UsageError
from disttorch_launcher.rendezvous import meet, read_key

KEY = JobKey.new()
OTHER_KEY = JobKey.new()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(rendezvous, "ANSWER_S", 0.3)


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def attend(hosts, n_ranks=2, key=KEY, max_restarts=0):
    """The meeting, or what the host was told."""
    try:
        return meet(hosts, n_ranks, key, max_restarts)
    except UsageError as error:
        return str(error)


def together(*arguments):
    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(lambda a: attend(*a), arguments))


def test_hosts_agree_on_the_ranks(port):
    found = together(
        (Hosts(2, 0, "127.0.0.1", port, join_s=10), 1),
        (Hosts(2, 1, "127.0.0.1", port, join_s=10), 3),
    )
    assert [[slot.rank for slot in m.slots] for m in found] == [[0], [1, 2, 3]]
    assert {slot.world_size for m in found for slot in m.slots} == {4}
    for meeting in reversed(found):
        meeting.close()


@contextmanager
def beating(store, key):
    """Somebody who is heard of all the time."""
    end = threading.Event()

    def beat():
        while not end.wait(0.02):
            store.add(key, 1)

    thread = threading.Thread(target=beat)
    thread.start()
    yield
    end.set()
    thread.join()


def test_host_that_died_while_it_waited_is_replaced(port, monkeypatch):
    monkeypatch.setattr(rendezvous, "HELD_S", 0.3)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(attend, Hosts(2, 0, "127.0.0.1", port, join_s=20), 1)
        with ZmqStore(f"tcp://127.0.0.1:{port}", 5.0, KEY) as dead:
            dead.set("host/1", f"{socket.gethostname()} (pid 1)")
            second = attend(Hosts(2, 1, "127.0.0.1", port, join_s=20), 3)
        found = [first.result(timeout=20), second]
    assert [[slot.rank for slot in m.slots] for m in found] == [[0], [1, 2, 3]]
    for meeting in reversed(found):
        meeting.close()


def test_nobody_is_replaced_once_all_have_met(port, monkeypatch):
    monkeypatch.setattr(rendezvous, "HELD_S", 0.3)
    with StoreServer(f"tcp://*:{port}", KEY) as server:
        server.start()
        with ZmqStore(f"tcp://127.0.0.1:{port}", 3.0, KEY) as store:
            store.set("host/1", "other (pid 1)")
            store.multi_set(["host/0/ranks", "host/1/ranks"], ["1", "1"])
            told = attend(Hosts(2, 1, "127.0.0.1", port))
    assert told.startswith("--node-rank 1 is claimed by both other (pid 1) and ")


def test_host_that_was_replaced_while_it_stood_still_leaves(port):
    with ThreadPoolExecutor(1) as pool, StoreServer(f"tcp://*:{port}", KEY) as server:
        server.start()
        second = pool.submit(attend, Hosts(2, 1, "127.0.0.1", port, join_s=20))
        with ZmqStore(f"tcp://127.0.0.1:{port}", 5.0, KEY) as store:
            store.wait(["host/1/ranks"])
            store.set("host/1", "other (pid 1)")
            assert second.result(timeout=20).startswith("--node-rank 1 is claimed by both ")


def test_two_hosts_claim_one_number(port):
    with StoreServer(f"tcp://*:{port}", KEY) as server:
        server.start()
        with ZmqStore(f"tcp://127.0.0.1:{port}", 3.0, KEY) as store:
            store.set("host/1", "other (pid 1)")
            with beating(store, "host/1/beats"):
                told = attend(Hosts(2, 1, "127.0.0.1", port))
            assert told.startswith("--node-rank 1 is claimed by both other (pid 1) and ")
            # Host 0, which waits, is told as well.
            assert store.get(rendezvous.REFUSED).decode() == told


def test_hosts_that_disagree_on_their_number(port):
    found = together(
        (Hosts(2, 0, "127.0.0.1", port, join_s=10),),
        (Hosts(3, 1, "127.0.0.1", port, join_s=10),),
    )
    assert all(text.startswith("--nnodes is ") for text in found)
    assert all("\n" not in text for text in found)


def test_host_0_keeps_the_store_until_the_others_have_read_the_refusal(port):
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(attend, Hosts(2, 0, "127.0.0.1", port, join_s=10))
        with ZmqStore(f"tcp://127.0.0.1:{port}", 5.0, KEY) as other:
            other.add(rendezvous.N_CAME, 1)
            other.set(rendezvous.REFUSED, "no")
            other.wait([rendezvous.N_TOLD])  # host 0 has read it
            assert not wait([first], timeout=3 * rendezvous.LOOK_EVERY_S).done
            assert other.get(rendezvous.REFUSED) == b"no"
            other.add(rendezvous.N_TOLD, 1)
            assert first.result(timeout=10) == "no"


def test_host_0_does_not_wait_for_ever_for_hosts_that_read_nothing(port, monkeypatch):
    monkeypatch.setattr(rendezvous, "TELL_S", 0.1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(attend, Hosts(2, 0, "127.0.0.1", port, join_s=10))
        with ZmqStore(f"tcp://127.0.0.1:{port}", 5.0, KEY) as other:
            other.add(rendezvous.N_CAME, 1)
            other.set(rendezvous.REFUSED, "no")
            assert first.result(timeout=10) == "no"


def test_store_that_goes_away_during_the_meeting(port):
    with ThreadPoolExecutor(1) as pool, StoreServer(f"tcp://*:{port}", KEY) as server:
        server.start()
        second = pool.submit(attend, Hosts(2, 1, "127.0.0.1", port, join_s=10))
        with ZmqStore(f"tcp://127.0.0.1:{port}", 5.0, KEY) as store:
            store.wait(["host/1/ranks"])
        server.close()
        assert second.result(timeout=20) == (
            f"host 0 went away from 127.0.0.1:{port} before all hosts had met; its own screen says "
            f"why"
        )


def test_hosts_that_disagree_on_the_restarts(port):
    found = together(
        (Hosts(2, 0, "127.0.0.1", port, join_s=10), 2, KEY, 1),
        (Hosts(2, 1, "127.0.0.1", port, join_s=10), 2, KEY, 0),
    )
    assert all(text.startswith("--max-restarts is ") for text in found)


def test_wrong_key(port):
    found = together(
        (Hosts(2, 0, "127.0.0.1", port, join_s=8),),
        (Hosts(2, 1, "127.0.0.1", port, join_s=8), 2, OTHER_KEY),
    )
    assert "host 1 of 2 did not come within 8 s" in found[0]
    assert found[1].startswith(f"127.0.0.1:{port} does not answer to this key: it must be the same")


def test_port_in_use():
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        told = attend(Hosts(2, 0, "127.0.0.1", taken.getsockname()[1]))
    assert "cannot be served here: another program uses it; choose another" in told


def test_endpoint_that_cannot_be_reached(port):
    told = attend(Hosts(2, 1, "127.0.0.1", port, join_s=0.3))
    assert told.startswith(f"host 0 cannot be reached at 127.0.0.1:{port} within 0.3 s: Connection")


def test_host_0_makes_the_key_file(tmp_path):
    path = tmp_path / "key"
    first = Hosts(2, 0, "a", 1, str(path))
    key = read_key(first, "")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(Hosts(2, 1, "a", 1, str(path)), "") == key
    assert read_key(first, KEY.to_text()) == KEY


def test_key_file_is_whole_from_its_first_moment_and_never_overwritten(tmp_path, monkeypatch):
    path = tmp_path / "key"

    class Rival:
        from_text = staticmethod(JobKey.from_text)

        @staticmethod
        def new():
            assert not path.exists()
            path.touch(0o600)
            path.write_text(OTHER_KEY.to_text())
            return KEY

    monkeypatch.setattr(rendezvous, "JobKey", Rival)
    assert read_key(Hosts(2, 0, "a", 1, str(path)), "") == OTHER_KEY
    assert os.listdir(tmp_path) == ["key"]


def told_of_key(hosts, text=""):
    with pytest.raises(UsageError) as error:
        read_key(hosts, text)
    return str(error.value)


def test_keys_that_cannot_work(tmp_path):
    path = tmp_path / "key"
    second = Hosts(2, 1, "a", 1, str(path))
    assert told_of_key(Hosts(2, 1, "a", 1)).startswith("several hosts need one key: --key-file")
    assert (
        told_of_key(second) == f"key file {path} is not there: copy it from host 0, which makes it"
    )
    path.write_text("00" * 32)
    path.chmod(0o644)
    assert (
        told_of_key(second) == f"key file {path} may be read by others (mode 644): chmod 600 {path}"
    )
    path.chmod(0o600)
    if os.getuid() == 0:  # only root can give a file away
        os.chown(path, 65534, -1)
        assert told_of_key(second) == f"key file {path} belongs to another user (number 65534)"
        os.chown(path, 0, -1)
    path.write_text("secret")
    assert told_of_key(second).startswith("the job's key: DISTTORCH_KEY must have 32 or more")
    assert told_of_key(Hosts(2, 0, "a", 1, str(tmp_path / "no" / "key"))).endswith(
        "No such file or directory"
    )
