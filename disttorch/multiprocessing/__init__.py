"""`torch.multiprocessing`: Python's multiprocessing, `spawn`, and functions as jobs (`launch`).

Tensors in shared memory (`share_memory_`) are shared with the processes they are sent to, as
arguments and through queues and pipes; others are copied.
"""

from multiprocessing import *  # noqa: F403 - the names of multiprocessing are this module's too

from disttorch.multiprocessing.launching import launch
from disttorch.multiprocessing.sharing import (
    get_all_sharing_strategies,
    get_sharing_strategy,
    set_sharing_strategy,
)
from disttorch.multiprocessing.spawning import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)
