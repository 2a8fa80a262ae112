"""`disttorch.cpu.amp`: the older names of mixed precision, from `disttorch.amp` when asked for."""

from importlib import import_module


def __getattr__(name: str) -> object:
    # By name: this room lies below the one that the names come from.
    names = import_module("disttorch.amp.by_device").CPU
    if name in names:
        return names[name]
    raise AttributeError(f"module 'disttorch.cpu.amp' has no attribute {name!r}")
