"""The families of operators that only `nn` publishes a module or a functional for."""

from __future__ import annotations

from disttorch.ops import attention, fold, norm_native, recurrent, shuffle

MODULES = (attention, fold, norm_native, recurrent, shuffle)
