"""The job's private directory: the store's socket and the ranks' error files.

Mode 0700, in $XDG_RUNTIME_DIR or $TMPDIR, with a lock held by the launcher and its
zygote. A directory whose lock nobody holds belonged to a job that was killed whole; the next
launcher removes it.
"""

import fcntl
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

PREFIX = "disttorch-"
LOCK = "lock"
# A socket's path may have 107 bytes: /disttorch-4194304-01234567/store-1000.sock still follows.
MAX_BASE_NBYTES = 64
LAST_RESORT = "/tmp"
# A directory without a lock file is one being made, unless it is older than this.
MAKING_S = 60.0


class RunDirectory:
    """A created and locked run directory; `path` is absolute."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self._lock_fd = lock_fd

    @classmethod
    def create(cls, base: Path) -> "RunDirectory":
        """Make a new directory below `base` and lock it; OSError where that is not possible."""
        path = base / f"{PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
        path.mkdir(mode=0o700)
        # Locked under another name first: a sweep must never see the lock file unlocked.
        making = path / f"{LOCK}.new"
        lock_fd = os.open(making, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        making.rename(path / LOCK)
        return cls(path, lock_fd)

    def unlock(self) -> None:
        """Let go of this process's hold on the lock (a rank does: it must not keep it)."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def remove(self) -> None:
        """Remove the directory and all in it, then unlock; safe to call twice."""
        _remove(self.path)
        self.unlock()


def choose_base(environ: Mapping[str, str]) -> Path:
    """Where run directories go: $XDG_RUNTIME_DIR, else $TMPDIR, else /tmp.

    A place is passed over if it is not an absolute, writable directory, if its name is too long for
    a socket, or if another user could put a directory of his own in the place of ours (/tmp is the
    last resort even so). Raises OSError naming the places tried.
    """
    candidates = [environ.get("XDG_RUNTIME_DIR", ""), environ.get("TMPDIR", ""), LAST_RESORT]
    for candidate in candidates:
        if (
            os.path.isabs(candidate)
            and len(os.fsencode(candidate)) <= MAX_BASE_NBYTES
            and os.access(candidate, os.W_OK | os.X_OK)
            and (candidate == LAST_RESORT or _is_safe(os.stat(candidate)))
        ):
            return Path(candidate)
    tried = ", ".join(repr(candidate) for candidate in candidates if candidate)
    raise OSError(f"no writable directory with a short name for the job's sockets; tried {tried}")


def _is_safe(base: os.stat_result) -> bool:
    """Whether what this user makes there can be renamed by him and root alone."""
    shared = base.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not base.st_mode & stat.S_ISVTX
    return base.st_uid in (os.getuid(), 0) and not shared


def sweep(base: Path) -> list[Path]:
    """Remove this user's run directories below `base` whose owner is gone; returns them."""
    removed = []
    for path in base.glob(f"{PREFIX}*"):
        if _is_stale(path):
            _remove(path)
            removed.append(path)
    return removed


def _remove(path: Path) -> None:
    """Remove a directory that is all but always flat; what cannot be removed stays."""
    try:
        for name in os.listdir(path):
            os.unlink(path / name)
        path.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        import shutil  # noqa: PLC0415 - 7 ms, needed only if a script made folders here

        shutil.rmtree(path, ignore_errors=True)


def _is_stale(path: Path) -> bool:
    """True for a run directory of this user whose lock nobody holds."""
    try:
        info = path.lstat()
        if info.st_uid != os.getuid() or not stat.S_ISDIR(info.st_mode):
            return False
        lock_fd = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:  # no lock file, or the whole directory went in this moment
        return path.exists() and time.time() - path.stat().st_mtime > MAKING_S
    except OSError:
        return False
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock_fd)
    return True
