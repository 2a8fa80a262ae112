import random
import warnings

import numpy as np
import pytest

import disttorch as torch
from disttorch.utils.data import DataLoader, Dataset, SharedList, Subset
from disttorch.utils.data.inspection import warn_of_trouble

MANY = 100_001


class Holds(Dataset):
    def __init__(self, value):
        self.value = value

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return i


SUSPECT = {
    "numpy": (lambda: Holds(np.random.default_rng(0)), r"dataset\.value is a Generator"),
    "numpy's old": (lambda: Holds([np.random.RandomState(0)]), r"value\[0\] is a RandomState"),
    "python": (lambda: Holds({"r": random.Random(0)}), r"value\['r'\] is a Random"),
    "ours": (lambda: Subset(Holds(torch.Generator()), [0]), r"dataset\.dataset\.value is a Gen"),
    "list": (lambda: Holds(["x"] * MANY), r"dataset\.value holds 100,001 Python objects.*SharedL"),
    "dict": (lambda: Holds(dict.fromkeys(range(MANY), "x")), "holds 100,001 Python objects"),
}
FINE = {
    "array": lambda: Holds(np.arange(MANY)),
    "tensor": lambda: Holds(torch.ones(MANY)),
    "packed": lambda: Holds(SharedList(["x"] * 10)),
    "few": lambda: Holds(["x"] * 100),
    "module": lambda: Holds(torch),
    "default generator": lambda: Holds(torch.default_generator),
    "loop": lambda: Holds(Holds(None)),
}


@pytest.mark.parametrize("name", SUSPECT)
def test_trouble_is_named(name):
    make, text = SUSPECT[name]
    with pytest.warns(UserWarning, match=text):
        warn_of_trouble(make())


@pytest.mark.parametrize("name", FINE)
def test_no_trouble(name):
    dataset = FINE[name]()
    if name == "loop":
        dataset.value.value = dataset
    warn_of_trouble(dataset)  # warnings are errors


def test_loaders_say_it_once_and_only_for_processes():
    def warned(**options):
        loader = DataLoader(Holds(np.random.default_rng(0)), 2, **options)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            list(loader), list(loader)
        return len(seen)

    assert warned() == 0
    assert warned(num_workers=1) == 1
    assert warned(num_workers=1, worker_method="thread") == 0
