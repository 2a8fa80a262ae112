"""Objects that stand for their state in what is saved and loaded."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Stateful(Protocol):
    """Anything with these two methods: models, optimisers, loaders, or a program's own."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state, nested dicts of tensors and plain values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a state that `state_dict` returned."""
