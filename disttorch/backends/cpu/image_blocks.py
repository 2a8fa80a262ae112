"""Blocks of a batch of images, shared by threads, each of which multiplies its matrices alone.

BLAS's own threads share a single product: for the small products of a block of images they meet
hundreds of times, and the copies between the products are left to one thread. Blocks depend on
the shapes alone, so results do not change with the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

from disttorch.backends.cpu.threads import blas_alone, get_num_threads
from disttorch.backends.cpu.workers import run_pieces

# Scratch of a block. Smaller ones fit the cache of a core, yet their products were less efficient.
_BLOCK_NBYTES = 2 << 20


def image_blocks(n: int, nbytes_each: int) -> list[slice]:
    """Cut a batch of `n` images into an even number of blocks of one size, or into one block.

    `nbytes_each`: the scratch that an image takes.
    """
    if not n:
        return []
    n_blocks = -(-n * nbytes_each // _BLOCK_NBYTES)
    if n_blocks > 1:
        n_blocks += n_blocks % 2
    step = -(-n // min(n, max(1, n_blocks)))
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def run_blocks(
    work: Callable[[int, slice], None], blocks: list[slice], *, shared: bool = True
) -> None:
    """Call ``work(i, blocks[i])`` for each block, in as many threads as are set.

    Not `shared`: one block after the other, and BLAS's threads share the products.
    """
    if not shared or len(blocks) < 2 or get_num_threads() < 2:
        for i, part in enumerate(blocks):
            work(i, part)
        return
    with blas_alone():
        run_pieces(lambda i: work(i, blocks[i]), len(blocks))
