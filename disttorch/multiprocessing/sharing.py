"""What `torch.multiprocessing` sends of tensors, and its strategies: names, one way serves both."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from typing import Any

from disttorch.tensor import Tensor

_NO_HISTORY = (
    "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not "
    "support crossing process boundaries.  If you just want to transfer the data, call detach() on "
    "the tensor before serializing (e.g., putting it on the queue)."
)
_STRATEGIES = ("file_descriptor", "file_system")
_chosen = [_STRATEGIES[0]]


def get_all_sharing_strategies() -> set[str]:
    """Return the strategies that `set_sharing_strategy` takes."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """Return the strategy that was chosen last."""
    return _chosen[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Choose a strategy; raises AssertionError for one that is not there.

    Shared tensors lie together in few files without names, and a message holds one descriptor of
    each: neither the limit on open files nor names left behind are a reason to choose.
    """
    if new_strategy not in _STRATEGIES:
        raise AssertionError(
            f"invalid sharing strategy {new_strategy!r}, expected one of "
            f"{get_all_sharing_strategies()}"
        )
    _chosen[0] = new_strategy


def reduce_tensor(tensor: Tensor) -> Any:
    """What is sent of a tensor; RuntimeError for one whose gradient would get lost on the way."""
    if tensor.requires_grad and not tensor.is_leaf:
        raise RuntimeError(_NO_HISTORY)
    return tensor.__reduce_ex__(2)


ForkingPickler.register(Tensor, reduce_tensor)
