"""One rank's part in a group: runs its calls in turn, records them, and ends them all."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Self

import numpy as np

from disttorch.comm import lifecycle, status
from disttorch.comm.collectives import send_recv
from disttorch.comm.collectives.context import Context, Run
from disttorch.comm.connect import Link
from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import (
    CollectiveMismatchError,
    CollectiveTimeoutError,
    GroupUnusableError,
    SharedMemoryError,
    in_words,
)
from disttorch.comm.mailbox import Mailbox
from disttorch.comm.status import StatusPage
from disttorch.comm.transport.arena import Condition
from disttorch.comm.work import Runner, Work

_CLOSE_S = 1.0
_FLUSH_S = 10.0
# After these every rank has raised alike and no step is half done, so the group stays usable.
_CLEAN_ERRORS = (CollectiveMismatchError, SharedMemoryError)


class Count(int):
    """A number that a call gives as well: ``group.size``, and ``group.size()`` as in PyTorch."""

    def __call__(self) -> int:
        """As PyTorch's method of that name."""
        return int(self)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: object, **options: object
    ) -> object:
        """As of a plain int: to NumPy a subclass is an int64, which would widen the arrays."""
        plain = [int(given) if isinstance(given, Count) else given for given in inputs]
        return getattr(ufunc, method)(*plain, **options)


class Member:
    """What `ProcessGroup` is apart from its operations; `page` tells others what it does."""

    def __init__(self, link: Link, timeout_s: float, name: str, page: StatusPage) -> None:
        mesh = link.mesh
        self.rank = Count(mesh.rank)
        self.size = Count(mesh.size)
        self.ranks = mesh.ranks
        self.name = name
        self.timeout_s = timeout_s
        self._link = link
        self._mesh = mesh
        mesh.record(page, name)
        self.page = page
        self._context = Context(mesh, link.processes)
        self._mailbox = Mailbox(mesh)
        self._collectives = Runner(f"collectives of {name}")
        self._messages = Runner(f"messages of {name}")
        self._turn = threading.Lock()
        self._unusable = ""
        self._pid = os.getpid()
        lifecycle.register(self)

    @property
    def hosts(self) -> tuple[tuple[int, ...], ...]:
        """The group ranks of each host."""
        return self._mesh.hosts

    def close(self) -> None:
        """Leave the group, telling the other ranks; safe to call twice. See `flush` for messages.

        Calls that other threads have under way end with GroupUnusableError.
        """
        if self._mesh.closing or self._pid != os.getpid():
            return
        self.flush()
        self._unusable = "closed by this rank"
        self._mesh.leave(Condition.CLOSED)
        self._mesh.closing = True
        lifecycle.unregister(self)
        stopped = [runner.close() for runner in (self._collectives, self._messages)]
        # Whoever does not stop in time keeps the memory, which goes when it lets go of the group.
        if all(stopped) and self._turn.acquire(timeout=_CLOSE_S):
            self._context.windows.clear()
            self._context.remaps.clear()
            self._mailbox.close()
            self._mesh.close()
            self._turn.release()
        self._link.watch.close()

    def flush(self) -> None:
        """Deliver messages whose `isend` was never waited for, with a warning that says so.

        Waits up to 10 s, or the group's time-out, for live receivers of large ones.
        """
        unsent = [] if self._unusable or self._mesh.closing else self._mailbox.unsent()
        if not unsent:
            return
        left = self._mailbox.flush(Deadline.after(min(_FLUSH_S, self.timeout_s)))
        for message in unsent:
            fate = "it was not received and is lost" if message in left else "it was delivered late"
            warnings.warn(f"{message.what} was never waited for: {fate}", stacklevel=2)

    def leave(self, condition: Condition, text: str) -> None:
        """Tell the other ranks why this one takes part no more; does not block."""
        self._mesh.leave(condition, text)

    def forget(self) -> None:
        """Refuse all further use: this process is a forked child and not the rank."""
        self._unusable = (
            f"of rank {self.ranks[self.rank]} (pid {self._pid}), but this is a forked child of it, "
            f"such as a DataLoader worker; only the rank itself may communicate"
        )
        self._turn = threading.Lock()
        self._mesh.forget()

    @property
    def group_name(self) -> str:
        """The name that messages call the group by."""
        return self.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _deadline(self, timeout_s: float | None) -> Deadline:
        if timeout_s is None:
            return Deadline(monotonic() + self.timeout_s, self.timeout_s)
        return Deadline.after(timeout_s)

    def _check_usable(self) -> None:
        if self._unusable:
            raise GroupUnusableError(f"process group {self.name!r} is {self._unusable}")

    def _run(self, run: Run, async_op: bool, timeout_s: float | None) -> Work | None:
        if not async_op and not self._collectives.n_unfinished:
            self._guard(run, self._deadline(timeout_s))
            return None
        self._check_usable()

        def in_background() -> None:
            # A new thread has NumPy's own settings, under which an infinity would be a warning.
            with np.errstate(all="ignore"):
                self._guard(run, self._deadline(timeout_s), eager=False)

        work = Work(f"collective of group {self.name!r}")
        self._collectives.submit(in_background, work)
        if async_op:
            return work
        work.wait()
        return None

    def _guard(self, run: Run, deadline: Deadline, *, eager: bool = True) -> None:
        if not self._turn.acquire(blocking=False):
            self._wait_for_turn(deadline)
        try:
            if self._unusable:
                self._check_usable()
            self._mesh.eager = eager
            run(deadline)
            self._mesh.finish()
        except _CLEAN_ERRORS:
            self._mesh.finish()
            raise
        except BaseException as error:
            # Other ranks may be at any step by now, so no further call could be trusted.
            self._break(error)
            raise
        finally:
            self._turn.release()

    def _wait_for_turn(self, deadline: Deadline) -> None:
        if not self._turn.acquire(timeout=deadline.remaining_s()):
            raise CollectiveTimeoutError(
                f"rank {self.ranks[self.rank]}: another call of this rank in group {self.name!r} "
                f"did not end within {deadline.timeout_s:g} s. A signal handler cannot make a "
                f"collective call while the thread that it interrupted is in one."
            )

    def _break(self, error: BaseException) -> None:
        # Only the first reason counts, and closing is one.
        if not self._unusable:
            self._unusable = f"broken by an earlier error: {in_words(error)}"
            self._mesh.leave(Condition.GAVE_UP, in_words(error))
            # The report is an extra: it must not take the place of the error.
            with contextlib.suppress(OSError):
                status.dump(self.page, in_words(error))

    def _exchange(
        self, message: send_recv.Message, post: Callable[[send_recv.Message], None], async_op: bool
    ) -> Work | None:
        self._check_usable()
        ticket = self.page.begin(0, message.call, self.name)
        message.on_finish = partial(self.page.end, ticket)
        if async_op:
            message.work = Work(message.what)
            post(message)
            if not message.done:
                self._messages.submit(lambda: self._mailbox.serve(message, self._break), None)
            return message.work
        try:
            post(message)
            self._mailbox.wait(message, eager=True)
        except CollectiveMismatchError:
            raise
        except BaseException as error:
            self._break(error)
            raise
        return None
