"""`disttorch.distributed`: process groups and collectives on Tensors, under PyTorch's names."""

from importlib import import_module

from disttorch.comm.errors import (
    CollectiveMismatchError,
    CollectiveTimeoutError,
    DistBackendError,
    DistError,
    DistNetworkError,
    DistStoreError,
    PeerLostError,
    QueueEmptyError,
)
from disttorch.comm.reduce_op import PremulSum, ReduceOp
from disttorch.comm.store import FileStore, HashStore, PrefixStore, Store
from disttorch.comm.work import Work
from disttorch.distributed.absent import INSTEAD, explain_imports, text_of
from disttorch.distributed.backend import (
    Backend,
    BackendConfig,
    get_default_backend_for_device,
    is_backend_available,
    is_gloo_available,
    is_mpi_available,
    is_nccl_available,
    is_ucc_available,
    is_xccl_available,
    supports_complex,
)
from disttorch.distributed.coalescing import (
    _coalescing_manager,
    _make_nccl_premul_sum,
    all_gather_coalesced,
    all_reduce_coalesced,
    premul_sum,
)
from disttorch.distributed.collectives import (
    all_gather,
    all_gather_into_tensor,
    all_gather_single,
    all_reduce,
    all_to_all,
    all_to_all_single,
    barrier,
    broadcast,
    gather,
    monitored_barrier,
    reduce,
    reduce_scatter,
    reduce_scatter_single,
    reduce_scatter_tensor,
    scatter,
)
from disttorch.distributed.constants import default_pg_timeout
from disttorch.distributed.debug_level import (
    DebugLevel,
    get_debug_level,
    set_debug_level,
    set_debug_level_from_env,
)
from disttorch.distributed.grad_bucket import BuiltinCommHookType, GradBucket
from disttorch.distributed.objects import (
    all_gather_object,
    broadcast_object_list,
    gather_object,
    recv_object_list,
    scatter_object_list,
    send_object_list,
)
from disttorch.distributed.options import (
    AllgatherOptions,
    AllreduceCoalescedOptions,
    AllreduceOptions,
    AllToAllOptions,
    BarrierOptions,
    BroadcastOptions,
    GatherOptions,
    ReduceOptions,
    ReduceScatterOptions,
    ScatterOptions,
)
from disttorch.distributed.point_to_point import (
    P2POp,
    batch_isend_irecv,
    irecv,
    isend,
    recv,
    send,
)
from disttorch.distributed.preemption import preempted
from disttorch.distributed.process_group import (
    BackendOptions as _DistributedBackendOptions,
)
from disttorch.distributed.process_group import ProcessGroup
from disttorch.distributed.rendezvous import register_rendezvous_handler, rendezvous
from disttorch.distributed.step_times import StepReport, step_report
from disttorch.distributed.stores import TCPStore
from disttorch.distributed.subgroups import (
    new_group,
    new_subgroups,
    new_subgroups_by_enumeration,
    shrink_group,
    split_group,
)
from disttorch.distributed.world import (
    GroupMember,
    destroy_process_group,
    get_backend,
    get_backend_config,
    get_global_rank,
    get_group_rank,
    get_node_local_rank,
    get_pg_count,
    get_process_group_ranks,
    get_rank,
    get_world_size,
    group,
    init_process_group,
    is_available,
    is_initialized,
    is_torchelastic_launched,
    resolve_group,
)

explain_imports()
_LAZY = {
    **dict.fromkeys(("DeviceMesh", "init_device_mesh"), "device_mesh"),
    **dict.fromkeys(("GroupName", "reduce_op"), "distributed_c10d"),
}
_Work = Work

_ROOMS = {
    *("_functional_collectives", "algorithms", "checkpoint", "device_mesh", "distributed_c10d"),
    *("elastic", "nn", "optim"),
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(f"disttorch.distributed.{_LAZY[name]}"), name)
    if name in _ROOMS:
        return import_module(f"disttorch.distributed.{name}")
    if name in INSTEAD:
        raise AttributeError(text_of(name))
    raise AttributeError(f"module 'disttorch.distributed' has no attribute {name!r}")
