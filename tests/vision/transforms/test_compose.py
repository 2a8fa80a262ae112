"""Compose applies in order and shows what it holds."""

from disttorch.vision.transforms import Compose, Normalize, ToTensor


def test_order():
    assert Compose([lambda x: x + 1, lambda x: x * 10])(2) == 30


def test_repr_names_each_step():
    assert repr(Compose([ToTensor(), Normalize([0.5], [2.0])])) == (
        "Compose(\n    ToTensor()\n    Normalize(mean=[0.5], std=[2.0])\n)"
    )
