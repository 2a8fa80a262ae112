"""`DataParallel`: scripts written for several devices of one process, on ranks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from disttorch import distributed
from disttorch.nn.modules.module import Module
from disttorch.nn.parallel.ddp import DistributedDataParallel
from disttorch.nn.parallel.wrapper import ModuleWrapper


class DataParallel(ModuleWrapper):
    """Runs a module; under the launcher, gradients are averaged over the ranks.

    Each rank is given its own batches (by a `DistributedSampler`) and joins the job here if it has
    not yet. In a job of one process the module simply runs: with a single device there is nothing
    to split. `device_ids`, `output_device` and `dim` are accepted. State has no ``module.`` prefix,
    and loads with and without it.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids = [] if device_ids is None else list(device_ids)
        self.output_device = output_device
        self.dim = dim
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized():
            distributed.init_process_group()
        # Not a submodule: it holds the same one.
        self.__dict__["_replica"] = self._make_replica()

    def _make_replica(self) -> DistributedDataParallel | None:
        trained = any(p.requires_grad for p in self.module.parameters())
        if not trained or not distributed.is_initialized() or distributed.get_world_size() == 1:
            return None
        return DistributedDataParallel(self.module, find_unused_parameters=True)

    def train(self, mode: bool = True) -> DataParallel:
        """Switch the module to training or evaluation."""
        super().train(mode)
        if self._replica is not None:
            self._replica.train(mode)
        return self

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Run the module on this rank's inputs."""
        return (self.module if self._replica is None else self._replica)(*inputs, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_replica": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__["_replica"] = self._make_replica()


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Run `module` on a tensor or a tuple of them; the devices of one process are one device."""
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))
