"""Arguments of `DistributedDataParallel`, and what a wrapper tells of itself."""

import math

import numpy as np
import pytest

from disttorch import nn
from disttorch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from disttorch.nn.parallel import DistributedDataParallel, options
from disttorch.nn.parallel.bucket import plan_buckets
from tests.comm.ranks import run_ranks

NONE = dict.fromkeys(
    ("delay_all_reduce_named_params", "param_to_hook_all_reduce", "bucket_cap_mb_list")
)
REFUSED = [
    ({"param_to_hook_all_reduce": 1}, ValueError, "need to be set at the same time"),
    ({"delay_all_reduce_named_params": [1]}, ValueError, "need to be set at the same time"),
    (
        {"delay_all_reduce_named_params": [1], "param_to_hook_all_reduce": 1},
        NotImplementedError,
        "buckets start as soon as they are full",
    ),
    ({"bucket_cap_mb_list": [1]}, NotImplementedError, "the cap of bucket_cap_mb"),
]


@pytest.mark.parametrize(("given", "kind", "text"), REFUSED)
def test_what_is_not_there_is_an_error(given, kind, text):
    options.refuse_absent(**NONE)
    with pytest.raises(kind, match=text):
        options.refuse_absent(**NONE | given)


def test_device_numbers_are_for_devices_with_numbers():
    layer = nn.Linear(1, 1)
    options.check_devices(layer, None, None)
    for ids, text in (([0, 1], "a single element"), ([0], "only work with")):
        with pytest.raises(ValueError, match=text):
            options.check_devices(layer, ids, None)


def test_the_first_value_that_is_given_counts():
    assert options.first_given(None, False, True) is False
    assert options.cap_nbytes(None) == 25 << 20
    assert options.cap_nbytes(0.5) == 1 << 19


def test_an_infinite_cap_is_one_bucket():
    cap = options.cap_nbytes(math.inf)
    sizes = ([10**9, 5, 3], [np.dtype(np.float32)] * 3, [4] * 3)
    assert len(plan_buckets(*sizes, cap, options.first_cap_nbytes(cap))) == 1
    assert options.first_cap_nbytes(options.cap_nbytes(None)) == 1 << 20
    with pytest.raises(ValueError, match="must be a number of MiB"):
        options.cap_nbytes(math.nan)


def test_what_training_frameworks_ask_a_wrapper():
    def body(group):
        model = DistributedDataParallel(nn.Linear(2, 1), process_group=group, bucket_cap_mb=1)
        model.register_comm_hook(group, allreduce_hook)
        data = model._get_ddp_logging_data()
        names = ("world_size", "module_name", "total_parameter_size_bytes", "comm_hook")
        return [data[name] for name in names], data["can_set_static_graph"], model.device_type

    expected = [2, "Linear", 12, "allreduce_hook"], False, "cpu"
    assert run_ranks(2, body) == [expected] * 2


def test_what_a_wrapper_leaves_to_each_rank():
    def body(group):
        inner = nn.Linear(2, 1)
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(inner, ["bias"])
        return DistributedDataParallel(inner, process_group=group).parameters_to_ignore

    assert run_ranks(1, body) == [{"bias"}]
