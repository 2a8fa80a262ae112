"""`disttorch.nn`: modules, functional, init, utils.

`nn.parallel` is imported when it is first touched: it needs the communication layer.
"""

from importlib import import_module as _import_module

from disttorch.nn import functional, init, modules, utils
from disttorch.nn.modules import *  # noqa: F403 - the list of layers is there
from disttorch.nn.parameter import (
    Buffer,
    Parameter,
    UninitializedBuffer,
    UninitializedParameter,
    factory_kwargs,
)

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "functional",
    "init",
    "modules",
    "utils",
]
__all__.extend(modules.__all__)


def __getattr__(name: str) -> object:
    if name in ("attention", "common_types", "grad", "parallel"):
        return _import_module(f"disttorch.nn.{name}")
    if name in ("DataParallel",):
        return getattr(_import_module("disttorch.nn.parallel"), name)
    raise AttributeError(f"module 'disttorch.nn' has no attribute {name!r}")
