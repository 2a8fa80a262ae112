"""Files that are either the old one or the new one, whole, whenever a program or machine stops."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


@contextmanager
def atomic_writer(path: str, *, follow_link: bool = True) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of `path` when the block ends well.

    The bytes go to a temporary file beside it, reach the disk, and only then get the name; on any
    exception the temporary file is removed and `path` is as it was. Devices and pipes, which
    cannot be replaced, are written directly. Where `path` is a symbolic link, what it leads to is
    replaced, or without `follow_link` the link, so that nothing is written outside of the folder.
    Raises RuntimeError if the folder does not exist.
    """
    target = os.path.realpath(path)
    if not follow_link:
        target = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {os.path.dirname(path) or '.'} does not exist.")
    replaced = _mode_of(target)
    if replaced and not (stat.S_ISREG(replaced) or stat.S_ISLNK(replaced)):
        with open(target, "wb") as file:
            yield file
        return
    temporary = os.path.join(folder, f".{os.path.basename(target)}.{os.urandom(4).hex()}.tmp")
    # 0o666 less the umask is what open() gives; an existing file keeps its own mode.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as file:
            if stat.S_ISREG(replaced):
                os.chmod(temporary, stat.S_IMODE(replaced))
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _mode_of(path: str) -> int:
    """Kind and permissions of what has this name, 0 where nothing has it."""
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0


def _sync_folder(folder: str) -> None:
    """Make the renaming itself durable, where the system lets folders be synchronised."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
