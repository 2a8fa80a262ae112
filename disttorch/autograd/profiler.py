"""`disttorch.autograd.profiler`: the older place of what `disttorch.profiler` holds."""

from importlib import import_module


def __getattr__(name: str) -> object:
    return getattr(import_module("disttorch.profiler"), name)
