"""What all stores share: kinds of keys and values, and many processes at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from disttorch.comm.errors import DistStoreError, NotANumberError, StoreTimeoutError
from disttorch.comm.store import FileStore, HashStore, PrefixStore, Store, TCPStore
from tests.comm.store.test_file_store import in_child

N_PROCESSES, N_ROUNDS = 8, 25


@pytest.fixture(params=["hash", "prefix", "tcp", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store
    if request.param == "file":
        made = FileStore(str(tmp_path / "store"), timeout_s=20.0)
    elif request.param == "tcp":
        made = TCPStore("localhost", 0, None, True, 20.0, environ={})
    else:
        made = HashStore(20.0)
    base = made
    if request.param == "prefix":
        made = PrefixStore("inner", PrefixStore("outer", made))
    yield made
    base.close()


def test_keys_and_values_are_str_or_bytes(store: Store) -> None:
    store.set(b"\xff\x00", b"\x00\xff")
    assert store.get(b"\xff\x00") == b"\x00\xff" and store.check([b"\xff\x00"])
    store.set("\N{SNOWMAN}", "\N{SNOWMAN}")
    assert store.get("\N{SNOWMAN}".encode()) == "\N{SNOWMAN}".encode()
    store.set("view", memoryview(b"abc")[1:])
    assert store.get("view") == b"bc"
    for call in (
        lambda: store.set("k", 5),
        lambda: store.set("k", None),
        lambda: store.set(5, "v"),
        lambda: store.get(5),
        lambda: store.append("k", 1.5),
        lambda: store.compare_set("k", 0, "v"),
    ):
        with pytest.raises(TypeError, match="a store holds str and bytes, got"):
            call()
    assert not store.check(["k"])


def test_one_key_is_no_list_of_keys(store: Store) -> None:
    store.multi_set(["a", "b"], ["1", "2"])
    for call in (store.wait, store.check, store.multi_get):
        for keys in ("ab", b"ab"):
            with pytest.raises(TypeError, match="a list of keys is needed"):
                call(keys)


def test_amounts_are_integers_of_64_bits(store: Store) -> None:
    for amount in (1.5, "1", None, 2**63, -(2**63) - 1):
        with pytest.raises(TypeError):
            store.add("n", amount)
    assert store.add("n", 2**63 - 1) == 2**63 - 1
    store.set("text", "text")
    for kind in (NotANumberError, DistStoreError, ValueError):
        with pytest.raises(kind, match="not a number"):
            store.add("text", 1)


def test_missing_keys_that_are_no_text_are_named(store: Store) -> None:
    with pytest.raises(StoreTimeoutError, match="keys never set") as caught:
        store.wait([b"\xffx"], 0.01)
    assert "\N{REPLACEMENT CHARACTER}x" in str(caught.value)


def test_large_values_and_many_keys(store: Store) -> None:
    large = os.urandom(10_000_000)
    store.set("large", large)
    store.append("large", b"end")
    assert store.get("large") == large + b"end"
    names = [f"key {i}" for i in range(2000)]
    store.multi_set(names, names)
    assert store.multi_get(names) == [name.encode() for name in names]
    assert set(store.list_keys()) >= {*names, "large"}


def work(store: Store, index: int) -> None:
    """Count, append and hand a token around, as one of several processes."""
    for n in range(N_ROUNDS):
        store.add("count", index)
        store.append("letters", "abcdefgh"[index])
        store.set(f"{index}/{n}", str(n))
        turn = n * N_PROCESSES + index
        store.wait([f"turn {turn}"])
        held = store.compare_set("token", str(turn), str(turn + 1))
        assert held == str(turn + 1).encode()
        store.set(f"turn {turn + 1}", "")


def test_eight_processes_at_once(store: Store) -> None:
    if not isinstance(store, (FileStore, TCPStore)):
        pytest.skip("lives in one process")
    store.set("token", "0")
    store.set("turn 0", "")
    children = [in_child(lambda i=i: work(store, i)) for i in range(N_PROCESSES)]
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * N_PROCESSES
    assert store.add("count", 0) == N_ROUNDS * sum(range(N_PROCESSES))
    letters = store.get("letters").decode()
    assert {letter: letters.count(letter) for letter in "abcdefgh"} == dict.fromkeys(
        "abcdefgh", N_ROUNDS
    )
    assert store.get("token") == str(N_ROUNDS * N_PROCESSES).encode()
    assert store.get(f"{N_PROCESSES - 1}/{N_ROUNDS - 1}") == str(N_ROUNDS - 1).encode()


def test_a_prefix_has_the_time_out_of_its_store() -> None:
    base = HashStore(20.0)
    part = PrefixStore("a", PrefixStore("b", base))
    part.set_timeout(0.02)
    assert base.timeout_s == part.timeout_s == 0.02
    twin = part.clone()
    twin.set_timeout(7.0)
    twin.set("k", "v")
    twin.close()
    assert (part.get("k"), base.timeout_s, twin.timeout_s) == (b"v", 0.02, 7.0)
    with pytest.raises(StoreTimeoutError):
        part.queue_pop("nothing")


def test_a_prefix_needs_a_store() -> None:
    for arguments in ((5, HashStore()), ("p", 5), (HashStore(), "p")):
        with pytest.raises(TypeError, match="PrefixStore takes a str and a Store"):
            PrefixStore(*arguments)
