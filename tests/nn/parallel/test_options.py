"""Arguments of `DistributedDataParallel` that are refused, before ranks talk."""

import math

import numpy as np
import pytest

from disttorch import nn
from disttorch.nn.parallel import options
from disttorch.nn.parallel.bucket import plan_buckets

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
