"""`disttorch.nn.parallel`: models replicated over ranks."""

from disttorch.nn.parallel.data_parallel import DataParallel, data_parallel
from disttorch.nn.parallel.ddp import DistributedDataParallel
