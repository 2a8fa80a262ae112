"""`PostLocalSGDOptimizer`: ranks that step alone and average their models at times."""

from __future__ import annotations

import warnings
from typing import Any

from disttorch.distributed.algorithms.model_averaging.averagers import ModelAverager
from disttorch.optim.optimizer import Optimizer


class PostLocalSGDOptimizer(Optimizer):
    """Steps `optim`, then lets `averager` bring the ranks' models together when it is time to.

    With `post_localSGD_hook`, the averager's `warmup_steps` are the hook's `start_localSGD_iter`
    (Lin et al. 2018, https://arxiv.org/abs/1808.07217).
    """

    def __init__(self, optim: Optimizer, averager: ModelAverager) -> None:
        self._init_hooks()
        self.optim = optim
        self.param_groups = optim.param_groups
        self.averager = averager

    @property
    def state(self) -> Any:  # type: ignore[override]
        """The state of the optimiser inside."""
        return self.optim.state

    @property
    def defaults(self) -> Any:  # type: ignore[override]
        """The settings of the optimiser inside."""
        return self.optim.defaults

    def __repr__(self) -> str:
        return repr(self.optim)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimiser inside, with the averager's "step"."""
        return {**self.optim.state_dict(), "step": self.averager.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state; without a "step" in it the averager begins anew, with a warning."""
        self.optim.load_state_dict(state_dict)
        self.param_groups = self.optim.param_groups
        if "step" not in state_dict:
            warnings.warn(
                "Loaded state dict does not contain a step counter for an averager. Setting step "
                "counter to 0.",
                stacklevel=2,
            )
        self.averager.step = state_dict.get("step", 0)

    def step(self, closure: Any = None) -> Any:
        """Update the parameters of this rank, average if it is time to; returns the loss."""
        loss = self.optim.step(closure)
        self.averager.average_parameters(self.param_groups)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop all gradients, or set them to zero."""
        self.optim.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters to the optimiser inside."""
        self.optim.add_param_group(param_group)
