"""`ZeroRedundancyOptimizer`: each rank keeps the state of its share of the parameters only.

Every rank has all gradients (averaged by `DistributedDataParallel`), updates its share and
broadcasts it. State and update cost 1/n of the whole; results are those of the unsharded optimiser
(Rajbhandari et al. 2019, stage 1, https://arxiv.org/abs/1910.02054).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from disttorch import distributed
from disttorch.distributed.algorithms.join import Join, Joinable, JoinHook
from disttorch.nn.parallel.replicas import broadcast_all
from disttorch.optim.optimizer import Optimizer
from disttorch.tensor import Tensor

Group = dict[str, Any]


def partition(numels: Sequence[int], loads: list[int]) -> list[int]:
    """Give each of some parameters to the rank with the least so far; the largest go first.

    `loads`, elements by rank, is updated. Returns the ranks in the parameters' order.
    """
    owners = [0] * len(numels)
    for i in sorted(range(len(numels)), key=lambda i: -numels[i]):
        owners[i] = min(range(len(loads)), key=loads.__getitem__)
        loads[owners[i]] += numels[i]
    return owners


class ZeroRedundancyOptimizer(Optimizer, Joinable):
    """An `optimizer_class` over all ranks of a group, each with a part of the state.

    `params` are as for any optimiser, and alike on all ranks; `defaults` are `optimizer_class`'s
    settings. With `parameters_as_bucket_view` the parameters of a rank become views of one array
    for each dtype, which saves two copies a step. `optim` is this rank's own optimiser. With
    `overlap_with_ddp` steps are part of backward, through a hook of `ddp_zero_hook`.
    """

    def __init__(
        self,
        params: Any,
        optimizer_class: type[Optimizer],
        process_group: Any = None,
        parameters_as_bucket_view: bool = False,
        overlap_with_ddp: bool = False,
        **defaults: Any,
    ) -> None:
        self.initialized = False
        self.overlaps = overlap_with_ddp
        self._group = distributed.resolve_group(process_group)
        self.process_group = self._group
        self.rank, self.world_size = self._group.rank, self._group.size
        self.parameters_as_bucket_view = parameters_as_bucket_view
        self._loads = [0] * self.world_size
        self._owners: dict[Tensor, int] = {}
        self._all_state_dicts: list[dict[str, Any]] = []
        super().__init__(_checked(params), defaults)
        Joinable.__init__(self)
        for group in self.param_groups:
            self._distribute(group)
        own = [self._local_group(group) for group in self.param_groups]
        self.optim = optimizer_class(own, **defaults)
        self._settings_from_local()
        self._make_buckets()
        self.initialized = True

    # ---- who has what -------------------------------------------------------------------------

    def _distribute(self, group: Group) -> None:
        params = [p for p in group["params"] if p not in self._owners]
        owners = partition([p._array.size for p in params], self._loads)
        self._owners.update(zip(params, owners, strict=True))

    def _local_group(self, group: Group) -> Group:
        own = [self._owners[p] == self.rank for p in group["params"]]
        names = {"params", "param_names"} & group.keys()
        local = {k: v for k, v in group.items() if k not in names}
        for name in names:
            local[name] = [v for v, mine in zip(group[name], own, strict=True) if mine]
        return local

    def _owned_by(self, rank: int) -> list[Tensor]:
        return [p for g in self.param_groups for p in g["params"] if self._owners[p] == rank]

    def _make_buckets(self) -> None:
        """Lay the parameters of each rank and dtype one after another, if that is wanted."""
        self._buckets: list[list[tuple[Any, list[Tensor]]]] = [[] for _ in range(self.world_size)]
        if not self.parameters_as_bucket_view:
            return
        for rank, buckets in enumerate(self._buckets):
            owned = self._owned_by(rank)
            for dtype in dict.fromkeys(p._array.dtype for p in owned):
                members = [p for p in owned if p._array.dtype == dtype]
                flat = np.concatenate([p._array.reshape(-1) for p in members])
                offset = 0
                for p in members:
                    shape, numel = p._array.shape, p._array.size
                    p._array = flat[offset : offset + numel].reshape(shape)
                    offset += numel
                buckets.append((flat, members))

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, alike on all ranks, and give each to a rank."""
        super().add_param_group(param_group)
        if self.initialized:
            group = self.param_groups[-1]
            self._distribute(group)
            self.optim.add_param_group(self._local_group(group))
            self._settings_from_local()
            self._make_buckets()

    def _settings_from_local(self) -> None:
        _copy_settings(self.optim.param_groups, self.param_groups)

    # ---- steps --------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """Update this rank's parameters, then take the others'; returns the closure's loss.

        With `overlap_with_ddp` the closure, if any, is all that is called: backward has stepped.
        """
        if self.overlaps:
            return None if closure is None else closure()
        Join.notify_join_context(self)
        _copy_settings(self.param_groups, self.optim.param_groups)
        if closure is not None:
            kwargs["closure"] = closure
        loss = self.optim.step(**kwargs)
        self._settings_from_local()
        self._take_all_shares()
        return loss

    def step_some(self, params: Iterable[Tensor], last: bool) -> None:
        """Update those of some parameters that are this rank's; after the `last` ones, share all.

        Raises RuntimeError if one has no gradient, or one that can be differentiated.
        """
        own = [p for p in params if self._owners.get(p) == self.rank]
        for p in own:
            if p._grad is None or p._grad._requires_grad:
                raise RuntimeError(
                    "ZeroRedundancyOptimizer(overlap_with_ddp=True) needs a gradient for every "
                    "parameter in every pass, and one without history: leave out overlap_with_ddp "
                    "for models with unused parameters or for second derivatives"
                )
        _copy_settings(self.param_groups, self.optim.param_groups)
        wanted = set(own)
        every = [group["params"] for group in self.optim.param_groups]
        try:
            for group, members in zip(self.optim.param_groups, every, strict=True):
                group["params"] = [p for p in members if p in wanted]
            self.optim.step()
        finally:
            for group, members in zip(self.optim.param_groups, every, strict=True):
                group["params"] = members
        if last:
            self._settings_from_local()
            self._take_all_shares()

    def _take_all_shares(self) -> None:
        if self.world_size == 1:
            return
        for rank, buckets in enumerate(self._buckets):
            if not self.parameters_as_bucket_view:
                broadcast_all(self._group, self._owned_by(rank), rank)
            for flat, members in buckets:
                self._group.broadcast(flat, rank)
                if rank != self.rank:
                    for p in members:
                        p._cell[0] += 1

    # ---- saving and loading -------------------------------------------------------------------

    def consolidate_state_dict(self, to: int = 0) -> None:
        """Collect the whole state on rank `to`, for `state_dict` there; all ranks call this."""
        _copy_settings(self.param_groups, self.optim.param_groups)
        every = self._group.gather_object(self.optim.state_dict(), to)
        self._all_state_dicts = every or []

    def state_dict(self) -> dict[str, Any]:
        """Return the state in the unsharded optimiser's layout, as of the last consolidation.

        Raises RuntimeError on ranks to which it was not consolidated.
        """
        if not self._all_state_dicts:
            raise RuntimeError(
                "Optimizer state has not been consolidated on this rank. Please call "
                f"`consolidate_state_dict(to={self.rank})` on all ranks beforehand if you meant to "
                "save the global state."
            )
        saved = super().state_dict()
        every = [p for group in self.param_groups for p in group["params"]]
        positions = {p: i for i, p in enumerate(every)}
        state: dict[int, Any] = {}
        for rank, local in enumerate(self._all_state_dicts):
            owned = self._owned_by(rank)
            state |= {positions[owned[i]]: value for i, value in local["state"].items()}
        saved["state"] = dict(sorted(state.items()))
        return saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a whole state, of this class or the unsharded optimiser; keep this rank's part."""
        every = [p for group in self.param_groups for p in group["params"]]
        own = [i for i, p in enumerate(every) if self._owners[p] == self.rank]
        local = self.optim.state_dict()
        saved = state_dict["state"]
        local["state"] = {k: saved[i] for k, i in enumerate(own) if i in saved}
        for target, group in zip(local["param_groups"], state_dict["param_groups"], strict=True):
            target |= {k: v for k, v in group.items() if k not in {"params", "param_names"}}
        self.optim.load_state_dict(local)
        self._settings_from_local()

    # ---- uneven inputs ------------------------------------------------------------------------

    def join_hook(self, **kwargs: Any) -> JoinHook:
        """Return what this optimiser does on a rank without data: it steps with the others.

        Raises RuntimeError with `overlap_with_ddp`: there is no step beside the model's backward.
        """
        if self.overlaps:
            raise RuntimeError(
                "ZeroRedundancyOptimizer(overlap_with_ddp=True) cannot join: leave out "
                "overlap_with_ddp for uneven inputs"
            )
        return _StepWithTheOthers(self)

    @property
    def join_device(self) -> Any:
        """The device of the collectives for joining."""
        return "cpu"

    @property
    def join_process_group(self) -> Any:
        """The ranks that join."""
        return self._group


def _checked(params: Any) -> list[Any]:
    """The parameters or groups as a list; PyTorch's errors for what is neither."""
    if isinstance(params, Tensor):
        raise TypeError(
            f"`params` argument should be an iterable of Tensors, but got {params.type()}"
        )
    expected = "`params` argument should be an iterable of Tensors or dicts"
    try:
        given = list(params)
    except TypeError:
        raise TypeError(f"{expected}, but got {type(params).__name__}") from None
    if not given:
        raise ValueError("ZeroRedundancyOptimizer got an empty parameter list")
    kinds = ((Tensor, tuple), dict)  # a tuple is a parameter with its name
    if not any(all(isinstance(p, kind) for p in given) for kind in kinds):
        raise TypeError(expected)
    return given


class _StepWithTheOthers(JoinHook):
    def __init__(self, optimizer: ZeroRedundancyOptimizer) -> None:
        self.optimizer = optimizer

    def main_hook(self) -> None:
        """Update the share of this rank, which the others need."""
        self.optimizer.step()


def _copy_settings(source: Sequence[Group], target: Sequence[Group]) -> None:
    """Copy all but the parameters, which schedulers and users change, between groups."""
    for a, b in zip(source, target, strict=True):
        b.update({k: v for k, v in a.items() if k not in {"params", "param_names"}})
