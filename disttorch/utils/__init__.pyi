"""Written by `python -m tests.stubs`; do not edit."""

from disttorch.utils import checkpoint as checkpoint
from disttorch.utils import data as data
from disttorch.utils import dlpack as dlpack
from disttorch.utils import hooks as hooks
from importlib import import_module as import_module

