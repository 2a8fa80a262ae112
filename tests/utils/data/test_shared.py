import gc
import os
import pickle

import numpy as np
import pytest

from disttorch.utils.data import DataLoader, Dataset, SharedArray, SharedList

ITEMS = ["text", "", "ünïcode", "\ud800", b"\x00bytes", 5, None, {"a": [1, 2]}, ("x", 2.5)]


def test_items_come_back_as_they_were():
    shared = SharedList(ITEMS)
    assert list(shared) == ITEMS
    assert len(shared) == len(ITEMS)
    assert shared[-1] == ITEMS[-1]
    assert shared[1:3] == ITEMS[1:3]
    assert shared.index("ünïcode") == 2
    assert list(pickle.loads(pickle.dumps(shared))) == ITEMS
    for index in (len(ITEMS), -len(ITEMS) - 1):
        with pytest.raises(IndexError, match="list index out of range"):
            shared[index]


def test_no_items():
    assert list(SharedList([])) == []
    assert SharedArray(np.zeros((0, 3))).array.shape == (0, 3)


def test_arrays_are_one_memory():
    shared = SharedArray(np.arange(6.0).reshape(2, 3))
    other = pickle.loads(pickle.dumps(shared))
    other.array[1, 2] = 50
    assert shared[1].tolist() == [3, 4, 50]
    assert np.asarray(shared).dtype == np.float64
    assert len(shared) == 2
    with pytest.raises(TypeError, match="use SharedList"):
        SharedArray(np.array(["x", None], object))


class Reads(Dataset):
    """Sample i is item i and the size of the worker's private memory in bytes."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitems__(self, indices):
        return [(len(self.items[i]), private_nbytes() if i % 5000 == 0 else 0) for i in indices]


def private_nbytes():
    with open("/proc/self/smaps_rollup") as rollup:
        kb = [int(x.split()[1]) for x in rollup if x.startswith(("Private_Dirty", "Private_Clean"))]
    return sum(kb) * 1024


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux")
def test_reading_copies_nothing():
    """Of a list, every page comes to be private; of what is packed, none."""
    names = [f"images/{i:0200}.jpg" for i in range(80_000)]
    gc.collect()
    used = {}
    for name, items in (("list", names), ("packed", SharedList(names))):
        loader = DataLoader(Reads(items), 500, num_workers=1, shuffle=True)
        used[name] = max(int(b[1].max()) for b in loader)
    assert used["list"] - used["packed"] > 4 << 20
