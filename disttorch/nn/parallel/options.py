"""What `DistributedDataParallel`'s arguments may be together, checked before ranks talk."""

from __future__ import annotations

import functools
import math
import sys
from typing import Any

from disttorch.nn.modules.module import Module

_MIB = 1 << 20
_DEFAULT_CAP_MIB = 25
# Options that change nothing here: gradients are made in their buckets, not copied there.
_ABSENT = {
    "delay_all_reduce_named_params": "buckets start as soon as they are full",
    "param_to_hook_all_reduce": "buckets start as soon as they are full",
    "bucket_cap_mb_list": "all buckets have the cap of bucket_cap_mb",
}


def check_devices(module: Module, device_ids: Any, output_device: Any) -> None:
    """Raise ValueError for device numbers that do not fit where the module is."""
    if device_ids is not None and len(device_ids) > 1:
        raise ValueError("device_ids can only be None or contain a single element.")
    devices = {p.device for p in module.parameters()}
    if device_ids and any(d.type == "cpu" for d in devices):
        raise ValueError(
            "DistributedDataParallel device_ids and output_device arguments only work with "
            "single-device/multiple-device GPU modules or CPU modules, but got device_ids "
            f"{device_ids}, output_device {output_device}, and module parameters {devices}."
        )


def group_of_mesh(process_group: Any, device_mesh: Any) -> Any:
    """The ranks to train on; RuntimeError for both arguments, or a mesh of several dimensions."""
    if device_mesh is None:
        return process_group
    if process_group is not None:
        raise RuntimeError("Cannot specify both process_group and device_mesh arguments.")
    if device_mesh.ndim != 1:
        raise RuntimeError(f"Only 1D device mesh is supported, but got {device_mesh}.")
    return device_mesh.get_group()


def refuse_absent(**given: Any) -> None:
    """Raise PyTorch's error for half an option, NotImplementedError for one that is not there."""
    delayed, hook = given["delay_all_reduce_named_params"], given["param_to_hook_all_reduce"]
    if bool(delayed) != (hook is not None):
        raise ValueError(
            "delay_all_reduce_named_params and param_to_hook_all_reduce need to be set at the "
            "same time."
        )
    for name, value in given.items():
        if value is not None:
            raise NotImplementedError(
                f"DistributedDataParallel({name}=...) is not there: {_ABSENT[name]}; leave the "
                "argument out"
            )


def first_given(*values: Any) -> Any:
    """The first value that is not None."""
    return next(value for value in values if value is not None)


def bound(hook: Any, state: Any) -> Any:
    """A communication hook with its state, None for none."""
    return None if hook is None else functools.partial(hook, state)


def cap_nbytes(bucket_cap_mb: float | None) -> int:
    """Bytes of a bucket: 25 MiB unless given; infinity puts all gradients of a dtype in one.

    Raises ValueError for what is not a number.
    """
    nbytes = (_DEFAULT_CAP_MIB if bucket_cap_mb is None else bucket_cap_mb) * _MIB
    if math.isnan(nbytes):
        raise ValueError(f"bucket_cap_mb must be a number of MiB or math.inf, got {bucket_cap_mb}")
    return int(min(nbytes, sys.maxsize))


def first_cap_nbytes(cap: int) -> int:
    """Bytes of the first bucket, small so that it leaves early, unless one is to hold all."""
    return cap if cap == sys.maxsize else min(_MIB, cap)
