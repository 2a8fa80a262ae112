"""`disttorch.distributed.checkpoint`: all ranks save into one folder, and load from it.

The code is in `disttorch.serialization.sharded`, above this layer.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_ROOM = "disttorch.serialization.sharded"
_HOMES = {
    "together": ["CheckpointException"],
    "metadata": [
        *("BytesStorageMetadata", "ChunkStorageMetadata", "Metadata", "MetadataIndex"),
        *("StorageMeta", "TensorProperties", "TensorStorageMetadata"),
    ],
    "folder": ["FileSystemReader", "FileSystemWriter"],
    "saving": ["DefaultSavePlanner", "async_save", "save"],
    "loading": ["DefaultLoadPlanner", "load"],
    "stateful": ["Stateful"],
    "conversion": ["dcp_to_torch_save", "torch_save_to_dcp"],
    "model_state": [
        *("StateDictOptions", "get_model_state_dict", "get_optimizer_state_dict"),
        *("get_state_dict", "set_model_state_dict", "set_optimizer_state_dict", "set_state_dict"),
    ],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_PATHS = {
    *("default_planner", "filesystem", "format_utils", "metadata", "state_dict"),
    *("state_dict_loader", "state_dict_saver", "stateful"),
}
_ABSENT = (
    "is not in disttorch: a state goes through save(), load() and async_save() with a folder, "
    "FileSystemWriter or FileSystemReader; there are no planners and storages of one's own"
)


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name in _HOME_OF:
        return getattr(import_module(f"{_ROOM}.{_HOME_OF[name]}"), name)
    if name in _PATHS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"torch.distributed.checkpoint.{name} {_ABSENT}")
