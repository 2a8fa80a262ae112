"""DataLoader bodies: cheap samples, so that what is timed is the loader and not the dataset."""

from __future__ import annotations

import importlib
import io
from types import ModuleType

import numpy as np

from benchmarks.bodies import Work

# Large enough that starting workers is part of the time but not most of it.
_N_LARGE, _LARGE_BATCH = 960, 32
_N_SMALL, _SMALL_BATCH = 25_600, 64


def _loader(torch: ModuleType, shape: tuple[int, ...], n: int, batch: int, workers: int) -> object:
    """Loader of `n` samples: one tensor of `shape`, again and again, and an int label."""
    data = importlib.import_module(f"{torch.__name__}.utils.data")

    class Cheap(data.Dataset):
        def __init__(self) -> None:
            self.x = torch.ones(shape)

        def __len__(self) -> int:
            return n

        def __getitem__(self, index: int) -> tuple[object, int]:
            return self.x, index % 10

    return data.DataLoader(Cheap(), batch, num_workers=workers)


def _pass_over(loader: object) -> None:
    for _ in loader:  # type: ignore[attr-defined]
        pass


def large_samples(torch: ModuleType, workers: int) -> Work:
    """A pass over 960 samples of 3x224x224 floats in batches of 32."""
    loader = _loader(torch, (3, 224, 224), _N_LARGE, _LARGE_BATCH, workers)
    return Work(lambda: _pass_over(loader))


def small_samples(torch: ModuleType, workers: int) -> Work:
    """A pass over 25,600 samples of 1x28x28 floats in batches of 64."""
    loader = _loader(torch, (1, 28, 28), _N_SMALL, _SMALL_BATCH, workers)
    return Work(lambda: _pass_over(loader))


def tensor_dataset(torch: ModuleType, workers: int) -> Work:
    """A pass over a TensorDataset of 25,600 1x28x28 floats and labels in batches of 64."""
    data = importlib.import_module(f"{torch.__name__}.utils.data")
    images, labels = torch.ones(_N_SMALL, 1, 28, 28), torch.zeros(_N_SMALL, dtype=torch.int64)
    dataset = data.TensorDataset(images, labels)
    loader = data.DataLoader(dataset, _SMALL_BATCH, num_workers=workers)
    return Work(lambda: _pass_over(loader))


def first_batch(torch: ModuleType, shape: tuple[int, ...], batch: int) -> Work:
    """From `iter` to the first batch, two workers; ending them is not timed."""
    loader = _loader(torch, shape, 2 * batch, batch, 2)
    running: list[object] = []

    def start() -> None:
        iterator = iter(loader)  # type: ignore[call-overload]
        next(iterator)
        running.append(iterator)

    return Work(start, running.clear)


_N_PHOTOS, _PHOTO_BATCH = 192, 32


def _photos() -> list[bytes]:
    """JPEG files of 375x500 with smooth shapes and some noise, as cameras make them."""
    image = importlib.import_module("PIL.Image")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:375, 0:500] / 100
    files = []
    for k in range(24):
        waves = np.stack([np.sin(x * (1 + k % 5) + c) * np.cos(y + c * k) for c in range(3)], -1)
        pixels = np.clip(128 + 90 * waves + rng.normal(0, 12, waves.shape), 0, 255)
        file = io.BytesIO()
        image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return files


def photos(torch: ModuleType, workers: int) -> Work:
    """A pass over 192 JPEG files: decoded, resized to 256, cropped to 224, in batches of 32."""
    data = importlib.import_module(f"{torch.__name__}.utils.data")
    image = importlib.import_module("PIL.Image")
    files = _photos()

    class Photos(data.Dataset):
        def __len__(self) -> int:
            return _N_PHOTOS

        def __getitem__(self, index: int) -> tuple[object, int]:
            photo = image.open(io.BytesIO(files[index % len(files)])).convert("RGB")
            scale = 256 / min(photo.size)
            photo = photo.resize((round(photo.width * scale), round(photo.height * scale)))
            left, top = (photo.width - 224) // 2, (photo.height - 224) // 2
            pixels = np.asarray(photo.crop((left, top, left + 224, top + 224)), np.float32)
            return torch.from_numpy(pixels.transpose(2, 0, 1) / 255), index % 10

    loader = data.DataLoader(Photos(), _PHOTO_BATCH, num_workers=workers)
    return Work(lambda: _pass_over(loader))
