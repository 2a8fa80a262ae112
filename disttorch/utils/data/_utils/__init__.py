"""The paths at which programs find PyTorch's collating functions; the code is elsewhere."""

from disttorch.utils.data._utils import collate, worker
