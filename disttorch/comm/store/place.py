"""Where a store's socket may lie on one host: a directory that this user alone can enter."""

from __future__ import annotations

import os
import stat

_IPC = "ipc://"
_MAX_SOCKET_PATH = 107


def socket_path(address: str) -> str:
    """The path in an address `ipc://`; raises ValueError if it is none that a socket can have."""
    path = address.removeprefix(_IPC)
    if path == address or not path.startswith("/"):
        raise ValueError(f"a store's address is {_IPC} and an absolute path, got {address!r}")
    if len(os.fsencode(path)) > _MAX_SOCKET_PATH:
        raise ValueError(f"socket path of more than {_MAX_SOCKET_PATH} bytes: {path}")
    return path


def check_private(directory: str) -> None:
    """Raise PermissionError unless a directory is this user's, mode 700, and no link to another.

    Whoever serves asks, and whoever connects: another user's store would hand out another's key.
    """
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise PermissionError(
            f"{directory} is no directory but leads elsewhere; remove it, or use another TMPDIR"
        )
    if found.st_uid != os.geteuid():
        raise PermissionError(
            f"{directory} belongs to another user (number {found.st_uid}), who could replace the "
            f"store in it; serve it in a directory of your own with mode 700"
        )
    if found.st_mode & 0o077:
        raise PermissionError(
            f"{directory} may be entered by others (mode {found.st_mode & 0o777:o}), and so could "
            f"the store in it; make it with mode 700"
        )
