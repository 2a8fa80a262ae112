"""Switches of the CUDA back end that programs set: kept and told again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    fp32_precision="none",
)
_attention = dict.fromkeys(("flash", "mem_efficient", "math", "cudnn"), True)


def is_built() -> bool:
    """Return False: there is no CUDA back end yet."""
    return False


def _switch(kind: str) -> tuple[Any, Any]:
    def enable(enabled: bool) -> None:
        _attention[kind] = enabled

    def is_enabled() -> bool:
        return _attention[kind]

    enable.__doc__ = f"Allow the {kind} kind of attention, or not; it is chosen without asking."
    is_enabled.__doc__ = f"Return whether the {kind} kind of attention is allowed."
    return enable, is_enabled


enable_flash_sdp, flash_sdp_enabled = _switch("flash")
enable_mem_efficient_sdp, mem_efficient_sdp_enabled = _switch("mem_efficient")
enable_math_sdp, math_sdp_enabled = _switch("math")
enable_cudnn_sdp, cudnn_sdp_enabled = _switch("cudnn")
