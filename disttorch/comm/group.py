"""ProcessGroup: the collectives of some ranks of a job, on NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from disttorch.comm.collectives import (
    all_gather,
    all_reduce,
    all_to_all,
    allocate,
    barrier,
    broadcast,
    objects,
    reduce,
    reduce_scatter,
    scatter,
    send_recv,
    subgroup,
)
from disttorch.comm.connect import Link, alone, connect
from disttorch.comm.deadline import Deadline
from disttorch.comm.env import DEFAULT_TIMEOUT_S, RankEnv
from disttorch.comm.member import Member
from disttorch.comm.reduce_op import ReduceOp, Reduction
from disttorch.comm.status import StatusPage, page_path
from disttorch.comm.store.base import Store
from disttorch.comm.transport.arena import Array
from disttorch.comm.work import Work


class ProcessGroup(Member):
    """Some ranks of a job and what they do together; `rank`, roots and peers are group ranks.

    All ranks must make the same collective calls in the same order. Each call has a deadline,
    `timeout_s` seconds from the call or the group's default, and raises PeerLostError if a rank is
    gone, CollectiveTimeoutError if one does not come in time, CollectiveMismatchError on all ranks
    if their arguments disagree, GroupUnusableError after an error or `close()`.

    With `async_op=True` a call returns a `Work` at once and runs in the background, in the order of
    calls; its arrays must not be touched before `Work.wait()`. Otherwise it returns None.
    """

    @classmethod
    def from_env(
        cls, env: RankEnv, store: Store | None = None, timeout_s: float | None = None
    ) -> Self:
        """Join all ranks of the job; `timeout_s` is also that of joining, by default the job's.

        `store` is needed unless WORLD_SIZE is 1. Raises what `connect` raises.
        """
        timeout_s = env.timeout_s if timeout_s is None else timeout_s
        path = page_path(env.run_dir, env.restart_count, env.rank) if env.run_dir else None
        page = StatusPage(env.rank, path)
        if env.world_size == 1:
            return cls(alone(), timeout_s, "world", page)
        if store is None:
            raise ValueError(f"a job of {env.world_size} ranks needs a store to find each other")
        deadline = Deadline.after(timeout_s)
        link = connect(store, env.rank, env.world_size, env.restart_count, deadline)
        return cls(link, timeout_s, "world", page)

    @classmethod
    def single(cls, timeout_s: float = DEFAULT_TIMEOUT_S) -> ProcessGroup:
        """A group of this process alone, without a store."""
        return cls(alone(), timeout_s, "world", StatusPage(0))

    # Collectives on arrays

    def all_reduce(
        self,
        array: Array,
        op: Reduction = ReduceOp.SUM,
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Reduce `array` over all ranks in place; bit-identical on all ranks.

        Without any copy if the array lies in memory of `allocate`, at one place on all ranks.
        """
        return self._run(all_reduce.all_reduce(self._context, array, op), async_op, timeout_s)

    def broadcast(
        self,
        array: Array,
        root: int = 0,
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Overwrite `array` on all ranks with that of `root`."""
        return self._run(broadcast.broadcast(self._context, array, root), async_op, timeout_s)

    def reduce(
        self,
        array: Array,
        root: int = 0,
        op: Reduction = ReduceOp.SUM,
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Reduce `array` over all ranks into that of `root`; the others' stay as they are."""
        return self._run(reduce.reduce(self._context, array, root, op), async_op, timeout_s)

    def all_gather(
        self,
        outputs: Sequence[Array],
        array: Array,
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Copy the `array` of rank r to `outputs[r]` on all ranks."""
        run = all_gather.all_gather(self._context, outputs, array)
        return self._run(run, async_op, timeout_s)

    def all_gather_into(
        self,
        output: Array,
        array: Array,
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Copy all ranks' `array` one after another into `output`, of `size` times its elements."""
        run = all_gather.all_gather_into(self._context, output, array)
        return self._run(run, async_op, timeout_s)

    def gather(
        self,
        array: Array,
        outputs: Sequence[Array] | None = None,
        root: int = 0,
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Copy the `array` of rank r to `outputs[r]` on `root`; the others pass None."""
        run = all_gather.gather(self._context, array, outputs, root)
        return self._run(run, async_op, timeout_s)

    def scatter(
        self,
        output: Array,
        inputs: Sequence[Array] | None = None,
        root: int = 0,
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Copy `inputs[r]` of `root` to the `output` of rank r; the others pass None."""
        run = scatter.scatter(self._context, output, inputs, root)
        return self._run(run, async_op, timeout_s)

    def reduce_scatter(
        self,
        output: Array,
        inputs: Sequence[Array],
        op: Reduction = ReduceOp.SUM,
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Reduce `inputs[r]` of all ranks into the `output` of rank r."""
        run = reduce_scatter.reduce_scatter(self._context, output, inputs, op)
        return self._run(run, async_op, timeout_s)

    def reduce_scatter_from(
        self,
        output: Array,
        array: Array,
        op: Reduction = ReduceOp.SUM,
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Reduce the r-th of `size` equal parts of all ranks' `array` into rank r's `output`."""
        run = reduce_scatter.reduce_scatter_from(self._context, output, array, op)
        return self._run(run, async_op, timeout_s)

    def all_to_all(
        self,
        outputs: Sequence[Array],
        inputs: Sequence[Array],
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Copy `inputs[r]` of rank s to `outputs[s]` of rank r; sizes must fit pair by pair."""
        run = all_to_all.all_to_all(self._context, outputs, inputs)
        return self._run(run, async_op, timeout_s)

    def all_to_all_single(
        self,
        output: Array,
        array: Array,
        output_sizes: Sequence[int] | None = None,
        input_sizes: Sequence[int] | None = None,
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Copy part r of rank s's `array` to part s of rank r's `output`.

        The `size` parts are equal, or as many rows as the sizes say.
        """
        run = all_to_all.all_to_all_single(self._context, output, array, output_sizes, input_sizes)
        return self._run(run, async_op, timeout_s)

    def barrier(self, *, async_op: bool = False, timeout_s: float | None = None) -> Work | None:
        """Return on no rank before all ranks have called it."""
        return self._run(barrier.barrier(self._context), async_op, timeout_s)

    # Messages between two ranks

    def send(
        self,
        array: Array,
        dst: int,
        tag: int = 0,
        *,
        async_op: bool = False,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Send `array` to group rank `dst`; returns when it may be changed again.

        Messages of one pair and tag arrive in order; large ones wait for their receive.
        """
        message = send_recv.send(self._context, array, dst, tag, self._deadline(timeout_s))
        return self._exchange(message, self._mailbox.post_send, async_op)

    def recv(
        self,
        array: Array,
        src: int | None = None,
        tag: int = 0,
        *,
        timeout_s: float | None = None,
    ) -> int:
        """Receive into `array` from group rank `src`, by default any; returns the sender's rank.

        Raises CollectiveMismatchError, here only, if the sender's array has another size or dtype.
        """
        message = send_recv.recv(self._context, array, src, tag, self._deadline(timeout_s))
        self._exchange(message, self._mailbox.post_receive, False)
        send_recv.finish_recv(message, array)
        assert message.peer is not None
        return message.peer

    def irecv(
        self,
        array: Array,
        src: int | None = None,
        tag: int = 0,
        *,
        timeout_s: float | None = None,
    ) -> Work:
        """Start receiving into `array`, which must be contiguous; see `recv`."""
        if not array.flags.c_contiguous:
            raise ValueError("a receive in the background needs a contiguous array")
        message = send_recv.recv(self._context, array, src, tag, self._deadline(timeout_s))
        work = self._exchange(message, self._mailbox.post_receive, True)
        assert work is not None
        work.is_receive = True
        return work

    # Collectives on Python objects

    def all_gather_object(self, obj: object, *, timeout_s: float | None = None) -> list[Any]:
        """The objects of all ranks, in order. Unpickles what the other ranks of the job sent."""
        arrived: list[Array] = []
        self._run(objects.all_gather_object(self._context, arrived, obj), False, timeout_s)
        return [objects.loads(packed) for packed in arrived]

    def gather_object(
        self, obj: object, root: int = 0, *, timeout_s: float | None = None
    ) -> list[Any] | None:
        """The objects of all ranks on `root`, None on the others."""
        arrived: list[Array] = []
        self._run(objects.gather_object(self._context, arrived, obj, root), False, timeout_s)
        return [objects.loads(packed) for packed in arrived] if self.rank == root else None

    def broadcast_object(
        self, obj: object = None, root: int = 0, *, timeout_s: float | None = None
    ) -> Any:
        """The object of `root`; the others' `obj` is ignored."""
        arrived: list[Array] = []
        self._run(objects.broadcast_object(self._context, arrived, obj, root), False, timeout_s)
        return obj if self.rank == root else objects.loads(arrived[root])

    def scatter_object(
        self,
        objs: Sequence[object] | None = None,
        root: int = 0,
        *,
        timeout_s: float | None = None,
    ) -> Any:
        """The r-th of `root`'s objects on rank r; the others pass None."""
        arrived: list[Array] = []
        self._run(objects.scatter_object(self._context, arrived, objs, root), False, timeout_s)
        return objects.loads_part(arrived[root], self.rank)

    def send_object(
        self, obj: object, dst: int, tag: int = 0, *, timeout_s: float | None = None
    ) -> None:
        """Send an object to group rank `dst`, to be taken by `recv_object`."""
        packed = objects.pack(obj)
        self.send(np.array([packed.size]), dst, tag, timeout_s=timeout_s)
        self.send(packed, dst, tag, timeout_s=timeout_s)

    def recv_object(
        self, src: int | None = None, tag: int = 0, *, timeout_s: float | None = None
    ) -> Any:
        """The object that group rank `src`, by default any, sent with `send_object`."""
        return self.recv_object_from(src, tag, timeout_s=timeout_s)[1]

    def recv_object_from(
        self, src: int | None = None, tag: int = 0, *, timeout_s: float | None = None
    ) -> tuple[int, Any]:
        """As `recv_object`, with the group rank that sent the object before it."""
        size = np.zeros(1, np.int64)
        sender = self.recv(size, src, tag, timeout_s=timeout_s)
        packed = np.empty(int(size[0]), np.uint8)
        self.recv(packed, sender, tag, timeout_s=timeout_s)
        return sender, objects.loads(packed)

    # Memory, subgroups, end

    def allocate(self, nbytes: int, *, timeout_s: float | None = None) -> Array:
        """`nbytes` of zeroed, page-aligned memory as a flat uint8 array; called by all ranks alike.

        `all_reduce` of arrays in it, at one offset on all ranks, moves no data through copies. It
        is given back when the last array in it dies. Raises SharedMemoryError on all ranks if one
        is short of memory.
        """
        results: list[Array] = []
        self._run(allocate.allocate(self._context, results, nbytes), False, timeout_s)
        return results[0]

    def new_group(
        self, ranks: Sequence[int], *, timeout_s: float | None = None
    ) -> ProcessGroup | None:
        """A group of some group ranks, called by all ranks of this one; None on non-members.

        `timeout_s` becomes the new group's default. Closing this group leaves the new one open.
        Raises ValueError for unknown or double ranks.
        """
        results: list[Link] = []
        self._run(subgroup.new_group(self._context, results, ranks), False, None)
        if not results:
            return None
        name = f"{self.name}/{','.join(map(str, ranks))}"
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        return type(self)(results[0], timeout_s, name, self.page)
