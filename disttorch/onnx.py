"""`disttorch.onnx`: models are not exported; what model code asks about exports is answered."""

from __future__ import annotations

from typing import Any, NoReturn


def is_in_onnx_export() -> bool:
    """Return False."""
    return False


def export(*args: Any, **keywords: Any) -> NoReturn:
    """Raise RuntimeError: load the state_dict in PyTorch and export there."""
    raise RuntimeError(
        "torch.onnx.export is not in disttorch: save the model's state_dict(), load it into the "
        "same model in PyTorch and export it there"
    )
