"""`disttorch.utils.dlpack`: memory shared with other array libraries."""

from disttorch.ops.create_buffer import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
