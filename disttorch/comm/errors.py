"""What can go wrong between ranks.

    RuntimeError
      DistError                       anything in disttorch.comm
        DistBackendError              a collective or the process group
          PeerLostError               another rank died, left or gave up: a consequence, not a cause
          CollectiveTimeoutError      every rank lives, but one did not arrive in time
          CollectiveMismatchError     ranks called different operations, shapes or dtypes
          GroupUnusableError          closed, broken by an earlier error, or used in a forked child
        DistNetworkError              a transport could not be set up
          SharedMemoryError           no memory for a shared segment, or a peer's cannot be opened
        DistStoreError                the key-value store
          StoreTimeoutError           a key was not set, or the server did not answer, in time
          QueueEmptyError             a queue of a store has nothing to take
          NotANumberError             `add` to a value that is no number; a ValueError as well
    ValueError
      RankEnvError                    the rank's environment variables are missing or wrong

The `Dist*` names are PyTorch's. `is_consequence` tells whoever reports a failed job that another
rank's failure came first.
"""

from __future__ import annotations

from collections.abc import Iterable


class DistError(RuntimeError):
    """Base of all errors of `disttorch.comm`."""

    is_consequence = False


class DistBackendError(DistError):
    """A collective or a process group failed."""


class DistNetworkError(DistError):
    """A transport between ranks could not be set up."""


class DistStoreError(DistError):
    """The key-value store refused or could not serve a request."""


class PeerLostError(DistBackendError):
    """Another rank died, left or gave up; `ranks` holds the lost ranks (global numbers)."""

    is_consequence = True

    def __init__(self, message: str, ranks: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.ranks = tuple(ranks)


class CollectiveTimeoutError(DistBackendError):
    """A live rank did not arrive in time; `ranks` holds the missing ranks (global numbers)."""

    def __init__(self, message: str, ranks: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.ranks = tuple(ranks)


class CollectiveMismatchError(DistBackendError):
    """Ranks disagree on the operation, its shape, dtype, root or reduction."""


class GroupUnusableError(DistBackendError):
    """The process group is closed, broken by an earlier error, or belongs to a parent process."""


class SharedMemoryError(DistNetworkError):
    """A shared-memory segment could not be made, sized or opened."""


class StoreTimeoutError(DistStoreError):
    """A key was not set, or the store's server did not answer, before the deadline."""


class QueueEmptyError(DistStoreError):
    """There is nothing in a queue of a store, and the caller would not wait."""


class NotANumberError(DistStoreError, ValueError):
    """`add` to what is no decimal number: PyTorch's stores raise the one or the other."""


class RankEnvError(ValueError):
    """The environment of a rank is missing a variable or holds a bad value."""


def in_words(error: BaseException) -> str:
    """`ValueError: bad sample`, also where there is no text or none can be made."""
    try:
        text = str(error)
    except Exception:  # a user's `__str__` may do anything
        text = ""
    name = type(error).__name__
    return f"{name}: {text}" if text else name
