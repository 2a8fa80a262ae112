"""`disttorch.nn.parallel`: models replicated over ranks."""

from disttorch.nn.parallel.ddp import DistributedDataParallel
