"""`DistributedDataParallel`: one replica of a model a rank, gradients averaged in backward."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from disttorch import distributed
from disttorch.autograd.grad_mode import is_grad_enabled
from disttorch.distributed.algorithms.ddp_comm_hooks import default_hooks
from disttorch.distributed.algorithms.join import Join, Joinable, JoinHook
from disttorch.distributed.grad_bucket import BuiltinCommHookType, GradBucket
from disttorch.futures import Future
from disttorch.nn.modules.module import Module
from disttorch.nn.parallel import options
from disttorch.nn.parallel.bucket import plan_buckets
from disttorch.nn.parallel.complaints import difference
from disttorch.nn.parallel.ddp_join import DDPJoinHook, tell_the_joined
from disttorch.nn.parallel.mixed_precision import cast_buffers, run
from disttorch.nn.parallel.reducer import Reducer
from disttorch.nn.parallel.replicas import broadcast_all, share_buffers
from disttorch.nn.parallel.wrapper import ModuleWrapper
from disttorch.nn.parameter import UninitializedParameter
from disttorch.tensor import Tensor

_IGNORED = "_ddp_params_and_buffers_to_ignore"
# What a communication hook may promise: annotations, or their text.
_BUCKET = (inspect.Parameter.empty, GradBucket, "GradBucket", "dist.GradBucket")
_FUTURE = (
    *(inspect.Signature.empty, Future[Tensor], "Future[Tensor]", "Future[torch.Tensor]"),
    "torch.futures.Future[torch.Tensor]",
)


class DistributedDataParallel(ModuleWrapper, Joinable):
    """Wraps a module so that every rank trains the same model on its own share of the data.

    The parameters of rank 0 are broadcast at construction; during `backward` gradients are
    averaged over the ranks, bucket by bucket, while the rest is still being computed. After it,
    every rank's `.grad` holds the same bits. With `static_graph` every iteration uses the
    parameters of the first, each as often; unused ones are found once, and reentrant checkpoints
    may share parameters.

    Beyond PyTorch: attributes of the wrapped module are reachable through the wrapper, and
    `state_dict()` has no ``module.`` prefix (`load_state_dict` takes both forms). Gradients are
    always views of the buckets, which lie in shared memory: `gradient_as_bucket_view`,
    `batched_grad_copy` and `skip_all_reduce_unused_params`, ways to copy or send less, change
    nothing. `forward_sync_buffers` is the new name of `broadcast_buffers` (https://arxiv.org/abs/2006.15704).

    Raises RuntimeError if the ranks' models differ, or nothing in them is trained.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool | None = None,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = True,
        static_graph: bool = False,
        delay_all_reduce_named_params: Any = None,
        param_to_hook_all_reduce: Any = None,
        mixed_precision: Any = None,
        device_mesh: Any = None,
        skip_all_reduce_unused_params: bool = False,
        bucket_cap_mb_list: Any = None,
        batched_grad_copy: bool = False,
        forward_sync_buffers: bool | None = None,
    ) -> None:
        super().__init__()
        Joinable.__init__(self)  # modules do not pass construction on
        options.refuse_absent(
            delay_all_reduce_named_params=delay_all_reduce_named_params,
            param_to_hook_all_reduce=param_to_hook_all_reduce,
            bucket_cap_mb_list=bucket_cap_mb_list,
        )
        process_group = options.group_of_mesh(process_group, device_mesh)
        self.module = module
        self.device_ids = device_ids
        self.output_device = output_device
        self.dim = dim
        self.broadcast_buffers = options.first_given(forward_sync_buffers, broadcast_buffers, True)
        self.find_unused_parameters = find_unused_parameters
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.static_graph = static_graph
        self.require_backward_grad_sync = self.require_forward_param_sync = True
        self._group = distributed.resolve_group(process_group)
        self.bucket_bytes_cap = options.cap_nbytes(bucket_cap_mb)
        self._comm_hook: Callable[[GradBucket], Any] | None = None
        self.parameters_to_ignore = set(getattr(module, _IGNORED, ()))
        self._check_module()
        self.device = next(module.parameters()).device
        self.device_type = self.device.type
        self._check_equal()
        self.mixed_precision = mixed_precision
        if mixed_precision is not None:
            cast_buffers(module, mixed_precision.buffer_dtype)
            self._comm_hook = options.bound(mixed_precision.compress_hook, self._group)
        self._buffer_places = self._find_buffers()
        if init_sync:
            self._sync_from(0)
        self._reducer = self._make_reducer()

    # ---- set-up -------------------------------------------------------------------------------

    def _check_module(self) -> None:
        """Raise RuntimeError if nothing can be trained, ValueError for devices that do not fit."""
        if not any(p.requires_grad for _, p in self._named_parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter "
                "that requires a gradient."
            )
        if any(isinstance(p, UninitializedParameter) for _, p in self._named_parameters()):
            raise RuntimeError(
                "Modules with uninitialized parameters can't be used with "
                "`DistributedDataParallel`. Run a dummy forward pass to correctly initialize the "
                "modules"
            )
        options.check_devices(self.module, self.device_ids, self.output_device)

    @property
    def process_group(self) -> Any:
        """The ranks that share the training."""
        return self._group

    def _named_parameters(self) -> list[tuple[str, Tensor]]:
        return [
            (n, p) for n, p in self.module.named_parameters() if n not in self.parameters_to_ignore
        ]

    def _make_reducer(self) -> Reducer | None:
        if self._group.size == 1 and self._comm_hook is None:
            return None
        every = self._named_parameters()
        named = [(n, p) for n, p in every if p._requires_grad]
        arrays = [p._array for _, p in named]
        plans = plan_buckets(
            [a.size for a in arrays],
            [a.dtype for a in arrays],
            [a.itemsize for a in arrays],
            cap_nbytes=self.bucket_bytes_cap,
            first_cap_nbytes=options.first_cap_nbytes(self.bucket_bytes_cap),
        )
        frozen = [(n, p) for n, p in every if not p._requires_grad]
        how = (self.find_unused_parameters, self.static_graph)
        reducer = Reducer(named, frozen, plans, self._group, *how)
        reducer.comm_hook = self._comm_hook
        number = {id(p): i for i, (_, p) in enumerate(named)}
        reducer.places = [
            (owner._parameters, name, number[id(p)])
            for owner in self.module.modules()
            for name, p in owner._parameters.items()
            if id(p) in number
        ]
        return reducer

    def _find_buffers(self) -> list[tuple[Module, str]]:
        """Where buffers are: their modules and names in these."""
        return [
            (owner, name)
            for path, owner in self.module.named_modules()
            for name in owner._buffers
            if f"{path}.{name}".lstrip(".") not in self.parameters_to_ignore
        ]

    def _check_equal(self) -> None:
        """Raise RuntimeError if the ranks' models differ in a parameter's name, shape, dtype or
        in whether it is trained.
        """
        if self._group.size == 1:
            return
        own = [
            (n, tuple(p.shape), str(p.dtype), "trained" if p._requires_grad else "frozen")
            for n, p in self._named_parameters()
        ]
        text = difference(self._group.all_gather_object(own))
        if text is not None:
            raise RuntimeError(text)

    def _sync_from(self, root: int) -> None:
        """Take parameters and buffers from one rank."""
        broadcast_all(self._group, [p for _, p in self._named_parameters()], root)
        share_buffers(self._group, self._buffer_places, root)

    # ---- training -----------------------------------------------------------------------------

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        """Run the wrapped module; in training, buffers are rank 0's before, and after backward."""
        recording = is_grad_enabled()
        sync = self.require_backward_grad_sync and recording
        buffers = self.will_sync_module_buffers() and sync
        root = 0
        if sync and self._reducer is not None:
            self._reducer.check_places()
        if sync and self._joining:
            root = self._meet_the_joined(buffers)
        if buffers:
            share_buffers(self._group, self._buffer_places, root)
        if self.mixed_precision is None or self.mixed_precision.param_dtype is None:
            outputs = self.module(*inputs, **keywords)
        else:
            outputs = run(self.module, self.mixed_precision.param_dtype, inputs, keywords)
        if recording and (self._group.size > 1 or self._comm_hook is not None):
            if self._reducer is None:  # of a copy: it is made here, where all ranks come
                self._reducer = self._make_reducer()
            assert self._reducer is not None
            self._reducer.prepare(sync, outputs)
            # Evaluation then needs no collective, which ranks may do apart.
            share = buffers and not self._joining
            self._reducer.after = self._share_buffers() if share else None
        return outputs

    def _share_buffers(self) -> Callable[[], None]:
        """What brings buffers to those of rank 0; without this wrapper, which has the reducer."""
        return functools.partial(share_buffers, self._group, self._buffer_places)

    def will_sync_module_buffers(self) -> bool:
        """Return whether a forward pass brings the buffers to those of rank 0."""
        wanted = self.broadcast_buffers and self.require_forward_param_sync and self.training
        return bool(wanted and self._buffer_places)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Convert the module; gradients of another dtype get new buckets at the next forward."""
        super()._apply(fn, recurse)
        if self._reducer is not None and not self._reducer.fits():
            self._reducer = None
        return self

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Context in which backward accumulates gradients locally, without averaging."""
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def register_comm_hook(self, state: object, hook: Callable[[Any, GradBucket], Any]) -> None:
        """Let ``hook(state, bucket)`` reduce buckets; it returns a Future of the averages.

        Hooks are in `distributed.algorithms.ddp_comm_hooks`. Raises TypeError if `hook` is not
        callable, ValueError for annotations that promise something else, RuntimeError if there is
        a hook already.
        """
        _check_hook(hook)
        if self._comm_hook is not None:
            raise RuntimeError(
                "register_comm_hook or register_builtin_comm_hook can only be called once."
            )
        self._comm_hook = functools.partial(hook, state)
        if self._reducer is None:
            self._reducer = self._make_reducer()
        else:
            self._reducer.comm_hook = self._comm_hook

    def _register_builtin_comm_hook(self, comm_hook_type: BuiltinCommHookType) -> None:
        """Register a hook by its name; TypeError for what is no BuiltinCommHookType."""
        if not isinstance(comm_hook_type, BuiltinCommHookType):
            raise TypeError(f"expected a BuiltinCommHookType, got {comm_hook_type!r}")
        compressed = comm_hook_type is BuiltinCommHookType.FP16_COMPRESS
        hook = default_hooks.fp16_compress_hook if compressed else default_hooks.allreduce_hook
        self.register_comm_hook(self._group, hook)

    def _get_ddp_logging_data(self) -> dict[str, Any]:
        """Return how the model is trained, under PyTorch's names; training frameworks log it."""
        hook = self._comm_hook
        return {
            "world_size": int(self._group.size),
            "rank": int(self._group.rank),
            "module_name": type(self.module).__name__,
            "num_parameter_tensors": len(self._named_parameters()),
            "total_parameter_size_bytes": sum(p.nbytes for _, p in self._named_parameters()),
            "broadcast_buffers": self.broadcast_buffers,
            "bucket_cap_bytes": self.bucket_bytes_cap,
            "find_unused_parameters": self.find_unused_parameters,
            "gradient_as_bucket_view": self.gradient_as_bucket_view,
            "static_graph": self.static_graph,
            "can_set_static_graph": False,  # it is not looked for
            "comm_hook": "" if hook is None else getattr(hook, "func", hook).__qualname__,
        }

    def _set_static_graph(self) -> None:
        """Treat the graph as static from now on, which PyTorch's constructor option also does."""
        self.static_graph = True
        if self._reducer is not None:
            self._reducer.static, self._reducer.find_unused = True, False

    @staticmethod
    def _set_params_and_buffers_to_ignore_for_model(module: Module, names: Iterable[str]) -> None:
        """Leave parameters and buffers, by full name, of a module to be wrapped to each rank."""
        setattr(module, _IGNORED, list(names))

    # ---- uneven inputs ------------------------------------------------------------------------

    def join(
        self,
        divide_by_initial_world_size: bool = True,
        enable: bool = True,
        throw_on_early_termination: bool = False,
    ) -> Join:
        """Context for training on uneven numbers of batches: ranks that are done shadow the others.

        Gradients are divided by the number of all ranks, or of those that still have data. At the
        end every rank has the model of the last one to finish. With `throw_on_early_termination`
        all ranks raise RuntimeError once one is done.
        """
        return Join(
            [self],
            enable,
            throw_on_early_termination,
            divide_by_initial_world_size=divide_by_initial_world_size,
        )

    def join_hook(self, **keywords: Any) -> JoinHook:
        """Return what this model does on a rank without data."""
        return DDPJoinHook(self, keywords.get("divide_by_initial_world_size", True))

    @property
    def join_device(self) -> Any:
        """The device of the collectives for joining."""
        return "cpu"

    @property
    def join_process_group(self) -> Any:
        """The ranks that join."""
        return self._group

    @property
    def _joining(self) -> bool:
        return self._join_config.enable and self._group.size > 1

    def _meet_the_joined(self, buffers: bool) -> int:
        """Tell ranks without data what comes; returns the one whose buffers count."""
        Join.notify_join_context(self)
        root, n_active = tell_the_joined(self._group, active=True, buffers=buffers)[:2]
        divide_by_all = self._join_config.divide_by_initial_world_size
        if self._reducer is not None:
            self._reducer.n_averaged = None if divide_by_all else n_active
        return root

    # ---- copies -------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        if self._group is not distributed.group.WORLD:
            raise RuntimeError(
                "DDP Pickling/Unpickling are only supported when using DDP with the default "
                "process group. That is, when you have called init_process_group and have not "
                "passed process_group argument to DDP constructor"
            )
        # As in PyTorch, a copy has no communication hook: its state may be tied to this process.
        gone = dict.fromkeys(("_group", "_reducer", "_buffer_places", "_comm_hook"))
        return {**self.__dict__, **gone}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._group = distributed.resolve_group(None)
        self._buffer_places = self._find_buffers()


def _check_hook(hook: Any) -> None:
    """PyTorch's errors for what cannot be a communication hook."""
    if not callable(hook):
        raise TypeError("Communication hook must be callable.")
    signature = inspect.signature(hook)
    bucket = signature.parameters.get("bucket")
    if bucket is not None and bucket.annotation not in _BUCKET:
        raise ValueError("Communication hook: bucket annotation should be dist.GradBucket.")
    if signature.return_annotation not in _FUTURE:
        raise ValueError(
            "Communication hook: return annotation should be torch.futures.Future[torch.Tensor]."
        )
