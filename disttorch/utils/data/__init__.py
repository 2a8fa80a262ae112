"""`disttorch.utils.data`: datasets, samplers and the loader; data pipes load when asked for."""

from importlib import import_module as _import_module

from disttorch.utils.data.collate import (
    collate,
    default_collate,
    default_collate_fn_map,
    default_convert,
)
from disttorch.utils.data.dataloader import DataLoader, _DatasetKind
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
from disttorch.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from disttorch.utils.data.sharded import ShardedDataset
from disttorch.utils.data.shared import SharedArray, SharedList
from disttorch.utils.data.worker_info import WorkerInfo, get_worker_info

_LAZY = ("_utils", "datapipes", "graph", "graph_settings")
_LAZY_NAMES = {
    **dict.fromkeys(("DFIterDataPipe", "DataChunk", "IterDataPipe", "MapDataPipe"), "datapipe"),
    **dict.fromkeys(
        (
            *("argument_validation", "functional_datapipe", "guaranteed_datapipes_determinism"),
            *("non_deterministic", "runtime_validation", "runtime_validation_disabled"),
        ),
        "decorators",
    ),
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return _import_module(f"{__name__}.{name}")
    if name in _LAZY_NAMES:
        module = _import_module(f"{__name__}.datapipes.{_LAZY_NAMES[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_LAZY_NAMES})
