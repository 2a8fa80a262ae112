"""Modules whose parameters nobody needs initialised."""

from __future__ import annotations

import inspect
from typing import Any

from disttorch.nn.modules.module import Module
from disttorch.random import fork_rng


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """Return ``module_cls(*args, **kwargs)`` with parameters of undefined value.

    Random numbers are not used up by it. Raises RuntimeError for what is no module class, or takes
    no `device`.
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    kwargs["device"] = kwargs.pop("device", "cpu")
    with fork_rng():
        return module_cls(*args, **kwargs)
