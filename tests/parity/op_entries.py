"""The operators of PyTorch's own test data (OpInfo) that a user can call, and ours of that name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.testing._internal import common_utils
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo import core
from torch.testing._internal.opinfo.core import OpInfo

import disttorch
from tests.parity.convert import rebound

# Other layouts, C++ internals and operators that compile CUDA source are no part of the API.
_FOREIGN = ("_", "sparse.", "torch.", "jiterator_", "to_sparse")
_INTERNAL = frozenset({"slice", "max_pool2d_with_indices_backward", "native_dropout_backward"})


def _leave_out_bookkeeping() -> None:
    """Spare PyTorch's test data what only its own runner needs: nine tenths of the time it takes.

    With every list of samples and every bad input it searches the whole stack, with source lines,
    for the TestCase that asks. Every seed is also kept for devices that a CPU build does not have,
    each with the stack that gave it.
    """
    core.extract_test_fn = common_utils.extract_test_fn = lambda: None
    torch.cuda.manual_seed_all = torch.xpu.manual_seed_all = lambda seed: None


_leave_out_bookkeeping()


def entries() -> list[OpInfo]:
    """Every OpInfo without sparse, quantised and private ones."""
    return [op for op in op_db if not _is_private(op)]


def _is_private(op: OpInfo) -> bool:
    dunder = op.name.startswith("__")
    return (op.name.startswith(_FOREIGN) and not dunder) or op.name in _INTERNAL


def label(op: OpInfo) -> str:
    """The name and, after a slash, the variant of the test data."""
    return f"{op.name}/{op.variant_test_name}" if op.variant_test_name else op.name


def ours(op: OpInfo) -> Callable[..., Any] | None:
    """Our counterpart of an entry's function; None if there is none."""
    function = inspect.unwrap(op.op) if _is_written_in_tests(op.op) else op.op
    if _is_written_in_tests(function):
        return rebound(function)
    found = _attribute(disttorch, op.name)
    # The function of some names is a method only: disttorch.cdouble, as torch.cdouble, is a dtype.
    return found if callable(found) else getattr(disttorch.Tensor, op.name, None)


def _is_written_in_tests(function: Any) -> bool:
    function = getattr(function, "func", function)
    module = getattr(function, "__module__", None) or ""
    return inspect.isfunction(function) and module.startswith("torch.testing")


def _attribute(owner: Any, path: str) -> Any:
    for name in path.split("."):
        try:
            owner = getattr(owner, name)
        except (AttributeError, ImportError):
            return None
    return owner


def public_names(ops: Iterable[OpInfo]) -> dict[str, list[OpInfo]]:
    """Entries by name: a name has one entry for each variant of its test data."""
    table: dict[str, list[OpInfo]] = {}
    for op in ops:
        table.setdefault(op.name, []).append(op)
    return table


__all__ = ["entries", "label", "ours", "public_names", "torch"]
