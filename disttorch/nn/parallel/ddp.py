"""`DistributedDataParallel`: one replica of a model a rank, gradients averaged in backward."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from disttorch import distributed
from disttorch.autograd.grad_mode import is_grad_enabled
from disttorch.nn.modules.module import Module
from disttorch.nn.parallel.bucket import plan_buckets
from disttorch.nn.parallel.reducer import Reducer

_MIB = 1 << 20
_PREFIX = "module."


class DistributedDataParallel(Module):
    """Wraps a module so that every rank trains the same model on its own share of the data.

    The parameters of rank 0 are broadcast at construction; during `backward` gradients are
    averaged over the ranks, bucket by bucket, while the rest is still being computed. After it,
    every rank's `.grad` holds the same bits.

    Beyond PyTorch: attributes of the wrapped module are reachable through the wrapper, and
    `state_dict()` has no ``module.`` prefix (`load_state_dict` takes both forms). Gradients are
    always views of the buckets, which lie in shared memory; `gradient_as_bucket_view` is accepted
    and changes nothing (https://arxiv.org/abs/2006.15704).
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = True,
        static_graph: bool = False,
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids = device_ids
        self.broadcast_buffers = broadcast_buffers
        self.find_unused_parameters = find_unused_parameters
        self.require_backward_grad_sync = True
        self._group = distributed.resolve_group(process_group)
        self._bucket_cap_nbytes = int((25 if bucket_cap_mb is None else bucket_cap_mb) * _MIB)
        if not any(p.requires_grad for p in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameters "
                "that require a gradient."
            )
        self._check_equal(module)
        self._buffer_places = _buffer_places(module)
        if init_sync:
            self._broadcast_all([p for _, p in module.named_parameters()])
            self._broadcast_all(self._buffers_now())
        self._reducer = self._make_reducer()

    def _make_reducer(self) -> Reducer | None:
        if self._group.size == 1:
            return None
        every = list(self.module.named_parameters())
        named = [(n, p) for n, p in every if p.requires_grad]
        arrays = [p._array for _, p in named]
        plans = plan_buckets(
            [a.size for a in arrays],
            [a.dtype for a in arrays],
            [a.itemsize for a in arrays],
            cap_nbytes=self._bucket_cap_nbytes,
            first_cap_nbytes=min(_MIB, self._bucket_cap_nbytes),
        )
        frozen = [(n, p) for n, p in every if not p.requires_grad]
        return Reducer(named, frozen, plans, self._group, self.find_unused_parameters)

    def _buffers_now(self) -> list[Any]:
        """The module's buffers, wherever their modules have put new ones."""
        buffers = (owner._buffers.get(name) for owner, name in self._buffer_places)
        return [b for b in buffers if b is not None]

    def _check_equal(self, module: Module) -> None:
        """Raise RuntimeError if the ranks' models differ in a parameter's name, shape, dtype or
        in whether it is trained.
        """
        if self._group.size == 1:
            return
        own = [
            (n, tuple(p.shape), str(p.dtype), "trained" if p.requires_grad else "frozen")
            for n, p in module.named_parameters()
        ]
        every = self._group.all_gather_object(own)
        for rank, theirs in enumerate(every):
            if theirs != every[0]:
                at = next(
                    (i for i, (a, b) in enumerate(zip(every[0], theirs, strict=False)) if a != b),
                    min(len(every[0]), len(theirs)),
                )
                ours = every[0][at] if at < len(every[0]) else "nothing"
                other = theirs[at] if at < len(theirs) else "nothing"
                raise RuntimeError(
                    f"DistributedDataParallel: the models differ between ranks: parameter {at} is "
                    f"{ours} on rank 0 and {other} on rank {rank} ({len(every[0])} and "
                    f"{len(theirs)} parameters)"
                )

    def _broadcast_all(self, tensors: list[Any]) -> None:
        """Overwrite tensors with those of rank 0, all of them in one collective."""
        if self._group.size == 1 or not tensors:
            return
        arrays = [t._array for t in tensors]
        flat = np.empty(sum(a.nbytes for a in arrays), np.uint8)
        _pack(arrays, flat)
        self._group.broadcast(flat, 0)
        if self._group.rank != 0:
            _unpack(flat, arrays)
            for t in tensors:
                t._cell[0] += 1

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        """Run the wrapped module; buffers are brought to rank 0's before, in training."""
        sync = self.require_backward_grad_sync and is_grad_enabled()
        if self.broadcast_buffers and self.training and sync:
            self._broadcast_all(self._buffers_now())
        outputs = self.module(*inputs, **keywords)
        if self._group.size > 1 and is_grad_enabled():
            if self._reducer is None:  # of a copy: it is made here, where all ranks come
                self._reducer = self._make_reducer()
            self._reducer.prepare(sync, outputs)
        return outputs

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Context in which backward accumulates gradients locally, without averaging."""
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def __getstate__(self) -> dict[str, Any]:
        if self._group is not distributed.group.WORLD:
            raise RuntimeError(
                "DDP Pickling/Unpickling are only supported when using DDP with the default "
                "process group. That is, when you have called init_process_group and have not "
                "passed process_group argument to DDP constructor"
            )
        return {**self.__dict__, "_group": None, "_reducer": None, "_buffer_places": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._group = distributed.resolve_group(None)
        self._buffer_places = _buffer_places(self.module)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            module = self.__dict__.get("_modules", {}).get("module")
            if module is None or not hasattr(module, name):
                raise
            return getattr(module, name)

    def state_dict(self, *args: Any, **keywords: Any) -> Any:
        """Return the wrapped module's state, with keys as if it were not wrapped."""
        return self.module.state_dict(*args, **keywords)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load a state with or without the ``module.`` prefix that PyTorch's wrapper adds."""
        own = self.module.state_dict().keys()
        prefixed = state_dict and all(key.startswith(_PREFIX) for key in state_dict)
        if prefixed and not any(key.startswith(_PREFIX) for key in own):
            state_dict = {key.removeprefix(_PREFIX): v for key, v in state_dict.items()}
        return self.module.load_state_dict(state_dict, strict, assign)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *report: Any) -> None:
        """Within another module: let keys without this wrapper's own level find the module."""
        inner = prefix + _PREFIX
        for key in [k for k in state_dict if k.startswith(prefix) and not k.startswith(inner)]:
            state_dict[inner + key.removeprefix(prefix)] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *report)


def _buffer_places(module: Module) -> list[tuple[Module, str]]:
    """Where buffers are: their modules and names in these."""
    return [(owner, name) for owner in module.modules() for name in owner._buffers]


def _pack(arrays: list[Any], flat: np.ndarray) -> None:
    """Copy the bytes of arrays into one flat buffer."""
    offset = 0
    for array in arrays:
        piece = flat[offset : offset + array.nbytes]
        piece.view(array.dtype).reshape(array.shape)[...] = array
        offset += array.nbytes


def _unpack(flat: np.ndarray, arrays: list[Any]) -> None:
    """Copy a flat buffer back into the arrays it was packed from."""
    offset = 0
    for array in arrays:
        piece = flat[offset : offset + array.nbytes]
        array[...] = piece.view(array.dtype).reshape(array.shape)
        offset += array.nbytes
