"""`MNIST` and the data sets that share its four files (`FashionMNIST`, `KMNIST`)."""

from __future__ import annotations

from pathlib import Path

from disttorch.vision.datasets.idx import read_idx
from disttorch.vision.datasets.images import ImageDataset, Transform

PREFIX = {True: "train", False: "t10k"}
PARTS = ("images-idx3-ubyte", "labels-idx1-ubyte")


class MNIST(ImageDataset):
    """60,000 training and 10,000 test images of 28x28 pixels, classes 0 to 9.

    Reads ``train-images-idx3-ubyte`` and its three siblings, plain or ``.gz``, from `root` itself
    or from ``root/MNIST/raw``. Nothing is ever downloaded: `download=True` is accepted where the
    files are present, as scripts pass it, and a RuntimeError where they are not.
    """

    classes = (
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    )

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        self.root = Path(root).expanduser()
        self.train = train
        images, labels = (self._find(f"{PREFIX[train]}-{part}", download) for part in PARTS)
        super().__init__(read_idx(images), read_idx(labels), transform, target_transform)

    def _find(self, stem: str, download: bool) -> Path:
        """Path of the file `stem` or `stem`.gz; RuntimeError naming the folders searched."""
        folders = [self.root, self.root / type(self).__name__ / "raw"]
        for folder in folders:
            for name in (stem, stem + ".gz"):
                if (folder / name).is_file():
                    return folder / name
        refusal = "disttorch downloads nothing, download=True included. " if download else ""
        raise RuntimeError(
            f"Dataset not found. {refusal}{type(self).__name__} needs {stem} (or {stem}.gz) in "
            f"{' or '.join(str(folder) for folder in folders)}"
        )


class FashionMNIST(MNIST):
    """Zalando's articles of clothing in MNIST's format; files as for `MNIST`."""

    classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )


class KMNIST(MNIST):
    """Kuzushiji characters in MNIST's format; files as for `MNIST`."""

    classes = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
