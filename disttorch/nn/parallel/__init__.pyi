"""Written by `python -m tests.stubs`; do not edit."""

from disttorch.nn.parallel import bucket as bucket
from disttorch.nn.parallel import complaints as complaints
from disttorch.nn.parallel import ddp as ddp
from disttorch.nn.parallel import ddp_join as ddp_join
from disttorch.nn.parallel import mixed_precision as mixed_precision
from disttorch.nn.parallel import options as options
from disttorch.nn.parallel import reached as reached
from disttorch.nn.parallel import reducer as reducer
from disttorch.nn.parallel import replicas as replicas
from disttorch.nn.parallel import wrapper as wrapper
from disttorch.nn.parallel.data_parallel import DataParallel as DataParallel
from disttorch.nn.parallel.data_parallel import data_parallel as data_parallel
from disttorch.nn.parallel.ddp import DistributedDataParallel as DistributedDataParallel

