"""MNIST's four files: where they are looked for, and the refusal to download."""

import gzip
import struct

import numpy as np
import pytest

from disttorch.vision.datasets import MNIST, FashionMNIST

PARTS = {True: ("train", 3), False: ("t10k", 2)}


def write_files(folder, pack, suffix):
    """Four files of a data set with 3 training and 2 test images; labels count down from N - 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, n in PARTS.values():
        images = struct.pack(">4B3I", 0, 0, 8, 3, n, 28, 28) + bytes([7]) * (n * 28 * 28)
        labels = struct.pack(">4BI", 0, 0, 8, 1, n) + bytes(reversed(range(n)))
        (folder / f"{prefix}-images-idx3-ubyte{suffix}").write_bytes(pack(images))
        (folder / f"{prefix}-labels-idx1-ubyte{suffix}").write_bytes(pack(labels))


@pytest.mark.parametrize(("pack", "suffix"), [(bytes, ""), (gzip.compress, ".gz")])
@pytest.mark.parametrize("folder", [".", "MNIST/raw"])
@pytest.mark.parametrize("train", [True, False])
def test_reads_from_either_folder(tmp_path, folder, pack, suffix, train):
    write_files(tmp_path / folder, pack, suffix)
    mnist = MNIST(tmp_path, train, download=True)
    n = PARTS[train][1]
    assert mnist.data.shape == (n, 28, 28)
    assert mnist.targets.numpy().tolist() == list(reversed(range(n)))
    image, label = mnist[0]
    assert (image.shape, image.dtype, label) == ((28, 28), np.uint8, n - 1)


def test_sibling_has_its_own_folder(tmp_path):
    write_files(tmp_path / "FashionMNIST" / "raw", bytes, "")
    assert len(FashionMNIST(tmp_path, train=False)) == 2
    with pytest.raises(RuntimeError, match="MNIST needs train-images"):
        MNIST(tmp_path)


@pytest.mark.parametrize(
    ("download", "complaint"),
    [
        (False, "Dataset not found. MNIST needs train-images-idx3-ubyte"),
        (True, "Dataset not found. disttorch downloads nothing, download=True included. MNIST"),
    ],
)
def test_missing_files(tmp_path, download, complaint):
    with pytest.raises(RuntimeError, match=complaint) as caught:
        MNIST(tmp_path, download=download)
    assert str(tmp_path / "MNIST" / "raw") in str(caught.value)
