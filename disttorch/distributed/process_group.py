"""Backends that others write: their class on one side, `comm`'s interface on the other.

A subclass of `ProcessGroup` with PyTorch's methods becomes the job's group through
`Backend.register_backend`. What all of disttorch calls is the group's `OnArrays`: `comm`'s methods,
each as a call of the subclass's on tensors that are views of the arrays.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np

from disttorch.comm.collectives.objects import loads, pack
from disttorch.comm.member import Count
from disttorch.comm.reduce_op import NamedOp, ReduceOp, Reduction
from disttorch.comm.store.base import Store
from disttorch.comm.transport.arena import Array
from disttorch.comm.work import Work
from disttorch.distributed import options
from disttorch.distributed.own_group import OwnGroup
from disttorch.tensor import Tensor

_METHODS = (
    *("allreduce", "allreduce_coalesced", "reduce", "reduce_scatter", "_reduce_scatter_base"),
    *("reduce_scatter_tensor_coalesced", "broadcast", "allgather", "allgather_coalesced"),
    *("_allgather_base", "allgather_into_tensor_coalesced", "gather", "scatter", "alltoall"),
    *("alltoall_base", "send", "recv", "recv_anysource", "barrier", "monitored_barrier"),
)


class ProcessGroup(metaclass=ABCMeta):  # noqa: B024 - a backend writes what it can do
    """PyTorch's interface of a group, for backends of one's own: derive from it.

    Its methods take lists of tensors and a class of options and return a `Work`; those that a
    subclass does not write are a RuntimeError. The groups of the built-in transport count as
    instances. Made with ``(rank, size)`` or ``(store, rank, size)``.
    """

    arrays: OnArrays | None = None
    group_name = ""
    group_desc = "undefined"
    bound_device_id: Any = None

    def __init__(self, *args: Any) -> None:
        self._rank, self._size = args[-2:]
        self._store = args[0] if len(args) > 2 else None

    def rank(self) -> int:
        """Return this process's rank in the group."""
        return int(self._rank)

    def size(self) -> int:
        """Return the number of ranks."""
        return int(self._size)

    def name(self) -> str:
        """Return the backend's name; subclasses may give it as `getBackendName`."""
        return str(self.getBackendName())

    def getBackendName(self) -> str:
        """Return "undefined": subclasses know better."""
        return "undefined"

    def get_group_store(self) -> Store | None:
        """Return the store that the group was made with, if any."""
        return self._store

    def _set_group_name(self, name: str) -> None:
        self.group_name = name

    def _set_group_desc(self, desc: str) -> None:
        self.group_desc = desc

    def shutdown(self) -> None:
        """Called by `destroy_process_group`."""
        self._store = None

    def abort(self) -> None:
        """As `shutdown`."""
        self.shutdown()


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(self: ProcessGroup, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"Backend {self.name()} does not support {name}")

    refuse.__name__, refuse.__doc__ = name, "To be written by a subclass."
    return refuse


for _name in _METHODS:
    setattr(ProcessGroup, _name, _refusal(_name))
ProcessGroup.register(OwnGroup)


@dataclass
class BackendOptions:
    """What a creator that was registered with ``extended_api=True`` is told."""

    store: Store
    group_rank: int
    group_size: int
    timeout: timedelta
    group_id: str
    global_ranks_in_group: list[int] = field(default_factory=list)


class OnArrays:
    """`comm`'s interface over a backend of somebody else's; see `comm.group.ProcessGroup`."""

    def __init__(self, made: Any, ranks: Sequence[int], rank: int, timeout_s: float) -> None:
        self.made = made
        self.ranks = tuple(ranks)
        self.rank, self.size = Count(rank), Count(len(ranks))
        self.timeout_s = timeout_s
        self.name = made.group_name
        self.page = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["made"], name)

    @property
    def hosts(self) -> tuple[tuple[int, ...], ...]:
        """All ranks as one host: what a backend knows of hosts is its own affair."""
        return (tuple(range(self.size)),)

    def close(self) -> None:
        """Tell the backend that the group is given up."""
        self.made.shutdown()

    def all_reduce(self, array: Array, op: Reduction = ReduceOp.SUM, **how: Any) -> Work | None:
        """Reduce in place; a mean of floats as a sum of shares, which every backend can do."""
        op = op.op if isinstance(op, NamedOp) else op
        if op == ReduceOp.AVG and array.dtype.kind in "fcV":
            array /= self.size
            op = ReduceOp.SUM
        opts = _filled(options.AllreduceOptions(), how, reduceOp=op)
        return _ended(self.made.allreduce([_tensor(array)], opts), how)

    def broadcast(self, array: Array, root: int = 0, **how: Any) -> Work | None:
        """Overwrite with the root's."""
        opts = _filled(options.BroadcastOptions(), how, rootRank=root)
        return _ended(self.made.broadcast([_tensor(array)], opts), how)

    def reduce(
        self, array: Array, root: int = 0, op: Reduction = ReduceOp.SUM, **how: Any
    ) -> Work | None:
        """Reduce into the root's."""
        opts = _filled(options.ReduceOptions(), how, rootRank=root, reduceOp=op)
        return _ended(self.made.reduce([_tensor(array)], opts), how)

    def all_gather(self, outputs: Sequence[Array], array: Array, **how: Any) -> Work | None:
        """Copy to all ranks."""
        opts = _filled(options.AllgatherOptions(), how)
        return _ended(self.made.allgather([_tensors(outputs)], [_tensor(array)], opts), how)

    def all_gather_into(self, output: Array, array: Array, **how: Any) -> Work | None:
        """Copy to all ranks, one after another."""
        opts = _filled(options.AllgatherOptions(), how)
        return _ended(self.made._allgather_base(_tensor(output), _tensor(array), opts), how)

    def gather(
        self, array: Array, outputs: Sequence[Array] | None = None, root: int = 0, **how: Any
    ) -> Work | None:
        """Copy to the root."""
        opts = _filled(options.GatherOptions(), how, rootRank=root)
        outs = [] if outputs is None else [_tensors(outputs)]
        return _ended(self.made.gather(outs, [_tensor(array)], opts), how)

    def scatter(
        self, output: Array, inputs: Sequence[Array] | None = None, root: int = 0, **how: Any
    ) -> Work | None:
        """Copy from the root."""
        opts = _filled(options.ScatterOptions(), how, rootRank=root)
        sources = [] if inputs is None else [_tensors(inputs)]
        return _ended(self.made.scatter([_tensor(output)], sources, opts), how)

    def reduce_scatter(
        self, output: Array, inputs: Sequence[Array], op: Reduction = ReduceOp.SUM, **how: Any
    ) -> Work | None:
        """Reduce each rank's part into that of the rank."""
        opts = _filled(options.ReduceScatterOptions(), how, reduceOp=op)
        return _ended(self.made.reduce_scatter([_tensor(output)], [_tensors(inputs)], opts), how)

    def reduce_scatter_from(
        self, output: Array, array: Array, op: Reduction = ReduceOp.SUM, **how: Any
    ) -> Work | None:
        """Reduce equal parts of one array."""
        opts = _filled(options.ReduceScatterOptions(), how, reduceOp=op)
        return _ended(self.made._reduce_scatter_base(_tensor(output), _tensor(array), opts), how)

    def all_to_all(
        self, outputs: Sequence[Array], inputs: Sequence[Array], **how: Any
    ) -> Work | None:
        """Exchange between all pairs."""
        opts = _filled(options.AllToAllOptions(), how)
        return _ended(self.made.alltoall(_tensors(outputs), _tensors(inputs), opts), how)

    def all_to_all_single(
        self,
        output: Array,
        array: Array,
        output_sizes: Sequence[int] | None = None,
        input_sizes: Sequence[int] | None = None,
        **how: Any,
    ) -> Work | None:
        """Exchange parts of one array."""
        opts = _filled(options.AllToAllOptions(), how)
        sizes = (list(output_sizes or ()), list(input_sizes or ()))
        return _ended(self.made.alltoall_base(_tensor(output), _tensor(array), *sizes, opts), how)

    def barrier(self, **how: Any) -> Work | None:
        """Return after all have called."""
        return _ended(self.made.barrier(_filled(options.BarrierOptions(), how)), how)

    def send(self, array: Array, dst: int, tag: int = 0, **how: Any) -> Work | None:
        """Send to a group rank."""
        return _ended(self.made.send([_tensor(array)], dst, tag), how)

    def irecv(self, array: Array, src: int | None = None, tag: int = 0) -> Any:
        """Start receiving from a group rank, None for any."""
        if src is None:
            return self.made.recv_anysource([_tensor(array)], tag)
        return self.made.recv([_tensor(array)], src, tag)

    def recv(self, array: Array, src: int | None = None, tag: int = 0, **how: Any) -> int:
        """Receive; returns the sender's rank."""
        work = self.irecv(array, src, tag)
        work.wait()
        return int(work.source_rank()) if src is None else src

    # Objects travel as their sizes, then as bytes of the longest.

    def all_gather_object(self, obj: object, **how: Any) -> list[Any]:
        """The objects of all ranks, unpickled."""
        own = pack(obj)
        sizes = [np.zeros(1, np.int64) for _ in self.ranks]
        self.all_gather(sizes, np.array([own.size], np.int64))
        longest = max(int(size[0]) for size in sizes)
        parts = [np.zeros(longest, np.uint8) for _ in self.ranks]
        self.all_gather(parts, np.concatenate([own, np.zeros(longest - own.size, np.uint8)]))
        return [loads(part[: int(n[0])]) for part, n in zip(parts, sizes, strict=True)]

    def gather_object(self, obj: object, root: int = 0, **how: Any) -> list[Any] | None:
        """The objects of all ranks on the root."""
        every = self.all_gather_object(obj)
        return every if self.rank == root else None

    def broadcast_object(self, obj: object = None, root: int = 0, **how: Any) -> Any:
        """The root's object."""
        own = pack(obj if self.rank == root else None)
        size = np.array([own.size], np.int64)
        self.broadcast(size, root)
        packed = own if self.rank == root else np.zeros(int(size[0]), np.uint8)
        self.broadcast(packed, root)
        return obj if self.rank == root else loads(packed)

    def scatter_object(
        self, objs: Sequence[object] | None = None, root: int = 0, **how: Any
    ) -> Any:
        """The r-th of the root's objects."""
        return self.broadcast_object(objs, root)[self.rank]

    def send_object(self, obj: object, dst: int, tag: int = 0, **how: Any) -> None:
        """Send an object to a group rank."""
        packed = pack(obj)
        self.send(np.array([packed.size], np.int64), dst, tag)
        self.send(packed, dst, tag)

    def recv_object_from(self, src: int | None = None, tag: int = 0, **how: Any) -> tuple[int, Any]:
        """The sender and the object that a group rank sent."""
        size = np.zeros(1, np.int64)
        sender = self.recv(size, src, tag)
        packed = np.zeros(int(size[0]), np.uint8)
        self.recv(packed, sender, tag)
        return sender, loads(packed)

    def allocate(self, nbytes: int, **how: Any) -> Array:
        """Memory of this process: only the built-in transport shares it."""
        return np.zeros(nbytes, np.uint8)


def _tensor(array: Array) -> Tensor:
    return Tensor._wrap(array)


def _tensors(arrays: Sequence[Array]) -> list[Tensor]:
    return [Tensor._wrap(array) for array in arrays]


def _filled(opts: options.Options, how: dict[str, Any], **fields: Any) -> options.Options:
    fields["asyncOp"] = bool(how.get("async_op"))
    if how.get("timeout_s") is not None:
        fields["timeout"] = timedelta(seconds=how["timeout_s"])
    for name, value in fields.items():
        setattr(opts, name, value)
    return opts


def _ended(work: Any, how: dict[str, Any]) -> Any:
    """The handle if it was asked for, else the end of the operation."""
    if how.get("async_op"):
        return work
    if work is not None:
        work.wait()
    return None
