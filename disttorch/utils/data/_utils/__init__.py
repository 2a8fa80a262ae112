"""The paths at which programs find PyTorch's collating functions; the code is elsewhere."""

from disttorch.utils.data._utils import collate, fetch, pin_memory, worker

__all__ = ["collate", "fetch", "pin_memory", "worker"]

HAS_NUMPY = True
IS_WINDOWS = False
MP_STATUS_CHECK_INTERVAL = 5.0
