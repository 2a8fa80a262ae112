"""PyTorch's path of what a worker can ask."""

from disttorch.utils.data.worker_info import WorkerInfo, get_worker_info

__all__ = ["WorkerInfo", "get_worker_info"]
