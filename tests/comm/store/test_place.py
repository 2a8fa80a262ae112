"""Where a store may be: in no place that somebody else could have made or can write to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from disttorch.comm.errors import DistStoreError
from disttorch.comm.store import FileStore, StoreServer, TCPStore, ZmqStore


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(PermissionError, match="mode 700"):
        StoreServer(f"ipc://{tmp_path}/store.sock")


@pytest.mark.parametrize(
    "address", ["udp://0.0.0.0:1", "ipc:///" + "x" * 108, "ipc://store.sock", "ipc://@abstract"]
)
def test_bad_addresses(address: str) -> None:
    with pytest.raises(ValueError, match=r"address is ipc:// and an absolute path|socket path of"):
        StoreServer(address)


def test_a_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="belongs to another user"):
        StoreServer(f"ipc://{tmp_path}/store.sock")


def test_a_link_to_a_directory_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir(0o700)
    (tmp_path / "link").symlink_to(own)
    with pytest.raises(PermissionError, match="leads elsewhere"):
        StoreServer(f"ipc://{tmp_path}/link/store.sock")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_store_in_another_users_directory_is_not_spoken_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"disttorch-stores-{os.geteuid()}"
    folder.mkdir(0o700)
    with StoreServer(f"ipc://{folder}/29500.sock") as theirs:
        theirs.start()
        os.chown(folder, 65534, 65534)
        with pytest.raises(PermissionError, match="belongs to another user"):
            TCPStore("localhost", 29500, 2, False, 5.0)


def test_a_place_that_is_not_there_says_so(tmp_path: Path) -> None:
    with ZmqStore(f"ipc://{tmp_path}/gone/store.sock") as store:
        with pytest.raises(DistStoreError, match=r"no store at .* has the launcher"):
            store.check(["k"])


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.touch(0o666)
    path.chmod(0o666)
    with pytest.raises(PermissionError, match="another user could write to this store"):
        FileStore(str(path))
