"""What modules that hold one other module, and stand for it, have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from disttorch.nn.modules.module import Module

_PREFIX = "module."


class ModuleWrapper(Module):
    """Holds a module as `.module`, shows its attributes, and saves and loads as if it were it."""

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
