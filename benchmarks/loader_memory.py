"""Private memory of 4 loader workers that have read a million strings five times, in bytes.

`python -m benchmarks.loader_memory LIBRARY`: a list under PyTorch, a SharedList under disttorch.
"""

from __future__ import annotations

import importlib
import sys

N_STRINGS, N_WORKERS, N_EPOCHS, BATCH = 1_000_000, 4, 5, 5_000


def _private_nbytes(pid: int) -> int:
    """Memory that only this process has."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        kb = [int(line.split()[1]) for line in rollup if line.startswith("Private_")]
    return sum(kb) * 1024


def main(library: str) -> None:
    """Print the bytes."""
    data = importlib.import_module(f"{library}.utils.data")
    names: object = [f"train/images/{i:09}.jpg" for i in range(N_STRINGS)]
    if hasattr(data, "SharedList"):
        names = data.SharedList(names)

    class Names(data.Dataset):
        def __len__(self) -> int:
            return N_STRINGS

        def __getitem__(self, index: int) -> int:
            return len(names[index])  # type: ignore[index]

    options = dict(num_workers=N_WORKERS, shuffle=True, persistent_workers=True)
    loader = data.DataLoader(Names(), BATCH, **options)
    for _ in range(N_EPOCHS):
        iterator = iter(loader)
        for _ in iterator:
            pass
    workers = (
        iterator._pool.pids
        if hasattr(iterator, "_pool")
        else [worker.pid for worker in iterator._workers]
    )
    print(sum(map(_private_nbytes, workers)))


if __name__ == "__main__":
    main(sys.argv[1])
