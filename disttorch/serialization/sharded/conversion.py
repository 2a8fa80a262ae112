"""From a checkpoint folder to one file of `torch.save`, and back; without any ranks."""

from __future__ import annotations

import os
from typing import Any

from disttorch.serialization.loading import load
from disttorch.serialization.saving import save
from disttorch.serialization.sharded import saving
from disttorch.serialization.sharded.contents import unflatten
from disttorch.serialization.sharded.folder import FileSystemReader
from disttorch.serialization.sharded.loading import value_of


def whole_state(checkpoint_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """All that is in a checkpoint folder, nested as it was saved."""
    reader = FileSystemReader(checkpoint_dir)
    metadata = reader.read_metadata()
    names = metadata.state_dict_metadata
    paths = metadata.planner_data or {name: (name,) for name in names}
    return unflatten({name: value_of(name, reader, metadata) for name in names}, paths)


def dcp_to_torch_save(
    dcp_checkpoint_dir: str | os.PathLike[str], torch_save_path: str | os.PathLike[str]
) -> None:
    """Write what is in a checkpoint folder to one file."""
    save(whole_state(dcp_checkpoint_dir), torch_save_path)


def torch_save_to_dcp(
    torch_save_path: str | os.PathLike[str], dcp_checkpoint_dir: str | os.PathLike[str]
) -> None:
    """Write what is in one file to a checkpoint folder."""
    saving.save(load(torch_save_path), checkpoint_id=dcp_checkpoint_dir, no_dist=True)
