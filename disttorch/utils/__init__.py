"""Tools around training: `data` loads, `checkpoint` trades time for memory, `dlpack` shares it."""

from importlib import import_module

from disttorch.utils import checkpoint, data, dlpack, hooks


def __getattr__(name: str) -> object:
    if name == "benchmark":
        return import_module("disttorch.utils.benchmark")
    raise AttributeError(f"module 'disttorch.utils' has no attribute {name!r}")
