"""The process groups that the job's ranks get: `comm`'s, with PyTorch's own methods as well.

`comm` speaks of arrays and says `all_reduce`; PyTorch's groups take tensors in lists, say
`allreduce`, and always return a `Work`. Libraries call either kind of method on the group that they
are given, so a group has both. Where the names are equal, what comes first decides: tensors, or a
list of them, are PyTorch's call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import wraps
from typing import Any

from disttorch.comm.connect import Link
from disttorch.comm.errors import CollectiveTimeoutError
from disttorch.comm.group import ProcessGroup as ArrayGroup
from disttorch.comm.reduce_op import ReduceOp, Reduction
from disttorch.comm.status import StatusPage
from disttorch.comm.store.base import Store
from disttorch.comm.work import Work
from disttorch.device import device
from disttorch.distributed.options import Options, limit_of
from disttorch.tensor import Tensor

Timeout = timedelta | None
Tensors = Sequence[Tensor]


def written(*tensors: Tensor) -> None:
    """Tell autograd that tensors are being overwritten."""
    for tensor in tensors:
        tensor._cell[0] += 1


def handle(work: Work | None, *outputs: Tensor) -> Work | None:
    """The handle, whose future's value is the list of outputs."""
    if work is not None:
        work.outputs = list(outputs)
    return work


def together(works: Sequence[Work | None], outputs: Iterable[Tensor]) -> Work | None:
    """The handle of collectives that run one after another: its error is the first of theirs."""
    begun = [work for work in works if work is not None]
    if not begun:
        return None
    begun[-1].answer_for(begun[:-1])
    return handle(begun[-1], *outputs)


class Name(str):
    """What messages call a group by; as a call, as in PyTorch, its backend."""

    backend = "zmq"

    def __call__(self) -> str:
        """Return the name of the backend of CPU tensors."""
        parts = self.backend.split(",")
        return next((p for p in parts if p.startswith("cpu:")), parts[0]).rpartition(":")[2]


# PyTorch's names of arguments where there is one tensor and no list.
_SINGULAR = {
    **{"tensor": "tensors", "input_tensor": "input_tensors", "output_tensor": "output_tensors"},
    **{"output": "output_tensors", "input": "input_tensors"},
}


def _spelt(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method under both spellings of its arguments."""

    @wraps(method)
    def either(self: OwnGroup, *args: Any, **kwargs: Any) -> Any:
        named = {_SINGULAR.get(name, name): value for name, value in kwargs.items()}
        return method(self, *args, **named)

    return either


def _or_arrays(method: Callable[..., Any]) -> Callable[..., Any]:
    """PyTorch's method for tensors and lists of them, else `comm`'s of that name."""
    on_arrays = getattr(ArrayGroup, method.__name__)

    @wraps(method)
    def chosen(self: OwnGroup, *args: Any, **kwargs: Any) -> Any:
        if args and not isinstance(args[0], (Tensor, list, tuple)):
            return on_arrays(self, *args, **kwargs)
        return method(self, *args, **kwargs)

    return chosen


def monitored_barrier(
    own: ArrayGroup, timeout: timedelta | float | None, wait_all_ranks: bool = False
) -> None:
    """Barrier of a group whose RuntimeError names all ranks that did not come in time."""
    timeout_s = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    try:
        own.barrier(async_op=False, timeout_s=timeout_s)
    except CollectiveTimeoutError as error:
        waited_ms = round(1000 * (own.timeout_s if timeout_s is None else timeout_s))
        many = "s" if wait_all_ranks or len(error.ranks) != 1 else ""
        names = ", ".join(map(str, error.ranks))
        raise CollectiveTimeoutError(
            f"[Rank {own.rank}]: Rank{many} {names} failed to pass monitoredBarrier in "
            f"{waited_ms} ms. {error}",
            error.ranks,
        ) from None


def _only(tensors: Tensor | Tensors | Sequence[Tensors]) -> Any:
    """The one entry of a list, or what is no list; RuntimeError for lists of more."""
    if not isinstance(tensors, (list, tuple)):
        return tensors
    if len(tensors) != 1:
        raise RuntimeError(f"Expecting one tensor only but got {len(tensors)}")
    return tensors[0]


def _listed(tensors: Tensors | Sequence[Tensors]) -> list[Tensor]:
    """The tensors of a list, or of the one list in a list."""
    nested = bool(tensors) and isinstance(tensors[0], (list, tuple))
    return list(_only(tensors) if nested else tensors)


def _arrays(tensors: Tensors) -> list[Any]:
    return [tensor._array for tensor in tensors]


def _background(opts: Options | None, timeout: Timeout = None) -> dict[str, Any]:
    """How `comm`'s method is to run."""
    return {"async_op": True, "timeout_s": limit_of(opts, timeout)}


def _split(opts: Any, default: Any, field: str) -> tuple[Options | None, Any]:
    """Options and the value that they hold, or that stands in their place."""
    if isinstance(opts, Options):
        return opts, getattr(opts, field)
    return None, default if opts is None else opts


class OwnGroup(ArrayGroup):
    """A group of the built-in transport; ranks and roots of its methods are group ranks.

    Collectives return a `Work` at once. `opts` is the method's class of options, or what PyTorch
    takes in its place: the operation or the root; time-outs are a timedelta.
    """

    name: Name
    group_desc = "undefined"
    bound_device_id: Any = None

    def __init__(self, link: Link, timeout_s: float, name: str, page: StatusPage) -> None:
        super().__init__(link, timeout_s, Name(name), page)
        self.store: Store | None = None
        self._called = str(name)

    # Who it is

    @property
    def group_name(self) -> str:
        """The name by which `_functional_collectives` find the group."""
        return self._called

    def _set_group_name(self, name: str) -> None:
        self._called = name

    def _set_group_desc(self, desc: str) -> None:
        self.group_desc = desc

    def get_group_store(self) -> Store | None:
        """The store in which the job's ranks met, None if there was none."""
        return self.store

    def set_timeout(self, timeout: timedelta) -> None:
        """Change the time-out of all later calls."""
        self.timeout_s = timeout.total_seconds()

    def _get_backend(self, device_: Any) -> OwnGroup:
        return self

    def _get_backend_name(self) -> str:
        return self.name()

    @property
    def _device_types(self) -> list[device]:
        return [device("cpu")]

    def shutdown(self) -> None:
        """Leave the group, as `close`."""
        self.close()

    def abort(self) -> None:
        """Leave the group, as `close`: calls of other threads end with GroupUnusableError."""
        self.close()

    # Reductions

    @_spelt
    def allreduce(
        self, tensors: Any, opts: Any = None, timeout: Timeout = None, *, op: Any = None
    ) -> Work | None:
        """Reduce one tensor over all ranks, in place."""
        tensor = _only(tensors)
        opts, reduction = _split(opts if op is None else op, ReduceOp.SUM, "reduceOp")
        written(tensor)
        run = _background(opts, timeout)
        return handle(self.all_reduce(tensor._array, reduction, **run), tensor)

    def allreduce_coalesced(self, tensors: Tensors, opts: Options | None = None) -> Work | None:
        """Reduce tensors over all ranks, in place."""
        return together([self.allreduce(tensor, opts) for tensor in tensors], tensors)

    @_or_arrays
    @_spelt
    def reduce(
        self,
        tensors: Any,
        opts: Any = None,
        op: Reduction | None = None,
        timeout: Timeout = None,
        *,
        root: int = 0,
    ) -> Work | None:
        """Reduce one tensor over all ranks into the root's."""
        tensor = _only(tensors)
        opts, root = _split(opts, root, "rootRank")
        reduction = opts.reduceOp if opts is not None else ReduceOp.SUM if op is None else op
        written(tensor)
        run = _background(opts, timeout)
        return handle(ArrayGroup.reduce(self, tensor._array, root, reduction, **run), tensor)

    @_or_arrays
    @_spelt
    def reduce_scatter(
        self,
        output_tensors: Any,
        input_tensors: Any,
        opts: Any = None,
        timeout: Timeout = None,
        *,
        op: Any = None,
    ) -> Work | None:
        """Reduce the r-th of all ranks' tensors into the one tensor of rank r."""
        out, inputs = _only(output_tensors), _arrays(_listed(input_tensors))
        opts, reduction = _split(opts if op is None else op, ReduceOp.SUM, "reduceOp")
        written(out)
        run = _background(opts, timeout)
        work = ArrayGroup.reduce_scatter(self, out._array, inputs, reduction, **run)
        return handle(work, out)

    def _reduce_scatter_base(
        self, outputTensor: Tensor, inputTensor: Tensor, opts: Options | None = None
    ) -> Work | None:
        reduction = ReduceOp.SUM if opts is None else opts.reduceOp
        written(outputTensor)
        run = _background(opts)
        out, source = outputTensor._array, inputTensor._array
        return handle(self.reduce_scatter_from(out, source, reduction, **run), outputTensor)

    reduce_scatter_single = _reduce_scatter_base

    def reduce_scatter_tensor_coalesced(
        self, outputs: Tensors, inputs: Tensors, opts: Options | None = None
    ) -> Work | None:
        """Reduce the r-th parts of several tensors into those of rank r."""
        pairs = zip(outputs, inputs, strict=True)
        return together([self._reduce_scatter_base(*pair, opts) for pair in pairs], outputs)

    reduce_scatter_single_coalesced = reduce_scatter_tensor_coalesced

    # Copies

    @_or_arrays
    @_spelt
    def broadcast(
        self, tensors: Any, opts: Any = None, timeout: Timeout = None, *, root: int = 0
    ) -> Work | None:
        """Overwrite one tensor with that of the root."""
        tensor = _only(tensors)
        opts, root = _split(opts, root, "rootRank")
        written(tensor)
        run = _background(opts, timeout)
        return handle(ArrayGroup.broadcast(self, tensor._array, root, **run), tensor)

    @_spelt
    def allgather(
        self,
        output_tensors: Any,
        input_tensors: Any,
        opts: Options | None = None,
        timeout: Timeout = None,
    ) -> Work | None:
        """Copy the one tensor of rank r into the r-th output on all ranks."""
        outputs, source = _listed(output_tensors), _only(input_tensors)
        written(*outputs)
        run = _background(opts, timeout)
        return handle(self.all_gather(_arrays(outputs), source._array, **run), *outputs)

    def allgather_coalesced(
        self,
        output_lists: Sequence[Tensors],
        input_list: Tensors,
        opts: Options | None = None,
    ) -> Work | None:
        """Gather several tensors: ``output_lists[r][i]`` is the i-th of rank r."""
        columns = zip(*output_lists, strict=True)
        works = [
            self.allgather(list(outs), tensor, opts)
            for outs, tensor in zip(columns, input_list, strict=True)
        ]
        return together(works, (tensor for row in output_lists for tensor in row))

    def _allgather_base(
        self, output: Tensor, input: Tensor, opts: Options | None = None
    ) -> Work | None:
        written(output)
        run = _background(opts)
        return handle(self.all_gather_into(output._array, input._array, **run), output)

    all_gather_single = _allgather_base

    def allgather_into_tensor_coalesced(
        self, outputs: Tensors, inputs: Tensors, opts: Options | None = None
    ) -> Work | None:
        """Gather several tensors, each into one."""
        pairs = zip(outputs, inputs, strict=True)
        return together([self._allgather_base(*pair, opts) for pair in pairs], outputs)

    all_gather_single_coalesced = allgather_into_tensor_coalesced

    @_or_arrays
    @_spelt
    def gather(
        self,
        output_tensors: Any,
        input_tensors: Any,
        opts: Any = None,
        timeout: Timeout = None,
        *,
        root: int = 0,
    ) -> Work | None:
        """Copy the one tensor of rank r into the root's r-th output; others pass no outputs."""
        outputs, source = _listed(output_tensors), _only(input_tensors)
        opts, root = _split(opts, root, "rootRank")
        written(*outputs)
        run = _background(opts, timeout)
        targets = _arrays(outputs) if self.rank == root else None
        return handle(ArrayGroup.gather(self, source._array, targets, root, **run), *outputs)

    @_or_arrays
    @_spelt
    def scatter(
        self,
        output_tensors: Any,
        input_tensors: Any,
        opts: Any = None,
        timeout: Timeout = None,
        *,
        root: int = 0,
    ) -> Work | None:
        """Copy the root's r-th input into the one tensor of rank r; others pass no inputs."""
        out, inputs = _only(output_tensors), _arrays(_listed(input_tensors))
        opts, root = _split(opts, root, "rootRank")
        written(out)
        run = _background(opts, timeout)
        sources = inputs if self.rank == root else None
        return handle(ArrayGroup.scatter(self, out._array, sources, root, **run), out)

    @_or_arrays
    def all_to_all_single(
        self,
        output: Tensor,
        input: Tensor,
        output_split_sizes: Sequence[int] | None = None,
        input_split_sizes: Sequence[int] | None = None,
        opts: Options | None = None,
        timeout: Timeout = None,
    ) -> Work | None:
        """Exchange parts of `input`, equal or of the given sizes; empty sizes are equal parts."""
        written(output)
        sizes = (output_split_sizes or None, input_split_sizes or None)
        run = _background(opts, timeout)
        work = ArrayGroup.all_to_all_single(self, output._array, input._array, *sizes, **run)
        return handle(work, output)

    alltoall_base = all_to_all_single

    def alltoall(
        self, output_tensors: Tensors, input_tensors: Tensors, opts: Options | None = None
    ) -> Work | None:
        """Copy the r-th input of rank s into the s-th output of rank r."""
        written(*output_tensors)
        run = _background(opts)
        arrays = (_arrays(output_tensors), _arrays(input_tensors))
        return handle(self.all_to_all(*arrays, **run), *output_tensors)

    # Messages and barriers

    @_or_arrays
    def send(self, tensors: Any, dstRank: int, tag: int = 0) -> Work | None:
        """Start sending one tensor."""
        tensor = _only(tensors)
        return handle(ArrayGroup.send(self, tensor._array, dstRank, tag, async_op=True), tensor)

    @_or_arrays
    def recv(self, tensors: Any, srcRank: int | None, tag: int = 0) -> Work | None:
        """Start receiving into one tensor."""
        tensor = _only(tensors)
        written(tensor)
        return handle(self.irecv(tensor._array, srcRank, tag), tensor)

    def recv_anysource(self, tensors: Any, tag: int = 0) -> Work | None:
        """Start receiving into one tensor from whoever sends first."""
        work: Work | None = self.recv(tensors, None, tag)
        return work

    def barrier(
        self,
        opts: Any = None,
        timeout: Timeout = None,
        *,
        async_op: bool | None = None,
        timeout_s: float | None = None,
    ) -> Work | None:
        """Start a barrier, which ends on no rank before all have called it.

        With `async_op` or `timeout_s` it is `comm`'s.
        """
        if async_op is not None or timeout_s is not None:
            return super().barrier(async_op=bool(async_op), timeout_s=timeout_s)
        if isinstance(opts, timedelta):
            opts, timeout = None, opts
        return handle(super().barrier(async_op=True, timeout_s=limit_of(opts, timeout)))

    def monitored_barrier(
        self, timeout: timedelta | float | None = None, wait_all_ranks: bool = False
    ) -> None:
        """Barrier whose RuntimeError names all ranks that did not come within `timeout`."""
        monitored_barrier(self, timeout, wait_all_ranks)
