"""Defaults under PyTorch's path."""

from datetime import timedelta

from disttorch.comm.env import DEFAULT_TIMEOUT_S

default_pg_timeout = timedelta(seconds=DEFAULT_TIMEOUT_S)
default_pg_nccl_timeout: timedelta | None = None

__all__ = ["default_pg_nccl_timeout", "default_pg_timeout"]
