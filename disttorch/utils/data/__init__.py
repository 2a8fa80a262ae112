"""`disttorch.utils.data`: datasets, samplers and the loader."""

from disttorch.utils.data.collate import (
    collate,
    default_collate,
    default_collate_fn_map,
    default_convert,
)
from disttorch.utils.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from disttorch.utils.data.distributed import DistributedSampler
from disttorch.utils.data.loader import DataLoader
from disttorch.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from disttorch.utils.data.worker_info import WorkerInfo, get_worker_info
