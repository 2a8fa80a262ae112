from __future__ import annotations

import numpy as np
import pytest
from ml_dtypes import bfloat16

from disttorch.device import device
from disttorch.dtype import from_numpy_dtype, int32
from disttorch.serialization.memory import LoadedStorage, place_in_storage, root_of

BASE = np.arange(24, dtype=np.float32)
VIEWS = {
    "whole": BASE,
    "slice": BASE[3:9],
    "matrix": BASE.reshape(4, 6),
    "transposed": BASE.reshape(2, 3, 4).transpose(2, 0, 1),
    "strided": BASE.reshape(4, 6)[1::2, ::3],
    "expanded": np.broadcast_to(BASE[:3], (5, 3)),
    "as_strided": np.lib.stride_tricks.as_strided(BASE[2:], (3, 2), (8, 4)),
    "0-d": BASE.reshape(4, 6)[2:3, 1:2].reshape(()),
}
COPIES = {
    "reversed": BASE[::-1],
    "foreign byte order": BASE.astype(">f4"),
    "inside a record": np.zeros(3, [("a", "i1"), ("b", "f4")])["b"],
}


def rebuilt(place, like):
    storage = LoadedStorage(place.block.view(np.uint8), None, device("cpu"))
    return storage.view(
        from_numpy_dtype(place.block.dtype), place.offset, like.shape, place.strides
    )


@pytest.mark.parametrize("name", VIEWS)
def test_views_name_their_place_in_the_shared_storage(name):
    place = place_in_storage(VIEWS[name])
    assert place.block.size == BASE.size
    assert np.shares_memory(place.block, BASE)
    again = rebuilt(place, VIEWS[name])
    assert np.array_equal(again, VIEWS[name])
    assert root_of(again).nbytes == BASE.nbytes


@pytest.mark.parametrize("name", COPIES)
def test_what_torch_cannot_describe_is_copied(name):
    place = place_in_storage(COPIES[name])
    assert place.block.size == COPIES[name].size
    assert np.array_equal(rebuilt(place, COPIES[name]), COPIES[name])


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros((0, 3), np.float32),
        np.array(True),
        np.arange(4).astype(bfloat16),
        np.frombuffer(bytearray(range(12)), np.uint8)[4:].view(np.int32),
    ],
)
def test_rebuilds_equal_arrays(array):
    again = rebuilt(place_in_storage(array), array)
    assert again.dtype == array.dtype
    assert np.array_equal(again, array)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (7,), (1,)),
        (6, (1,), (1,)),
        (-1, (1,), (1,)),
        (5, (2,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2, 2), (1, 5)),
    ],
)
def test_refuses_views_that_reach_outside(offset, shape, strides):
    storage = LoadedStorage(np.zeros(24, np.uint8), int32, device("cpu"))
    with pytest.raises(RuntimeError, match="out of bounds for storage of size 24"):
        storage.view(int32, offset, shape, strides)


def test_storages_tell_where_they_are():
    storage = LoadedStorage(np.zeros(24, np.uint8), int32, device("cpu"))
    assert (storage.nbytes(), storage.size(), storage.is_cuda) == (24, 6, False)
    assert storage.cpu() is storage
