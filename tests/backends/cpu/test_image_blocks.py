"""Blocks of images: sizes, every image once, and whose threads share what."""

import numpy as np
import pytest

from disttorch.backends.cpu import image_blocks, threads


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 64, 65])
@pytest.mark.parametrize("nbytes_each", [0, 1, 1 << 16, 1 << 20, 1 << 24])
def test_every_image_is_in_one_block(n, nbytes_each):
    blocks = image_blocks.image_blocks(n, nbytes_each)
    assert [i for part in blocks for i in range(n)[part]] == list(range(n))
    sizes = {part.stop - part.start for part in blocks[:-1]}
    assert len(sizes) < 2, "blocks of one size but for the last"


def test_blocks_of_many_images_are_even_in_number():
    assert len(image_blocks.image_blocks(64, 1 << 16)) == 2
    assert len(image_blocks.image_blocks(64, 78_400)) == 4
    assert image_blocks.image_blocks(8, 1 << 10) == [slice(0, 8)]


def _blas_threads():
    functions = threads._openblas()
    if functions is None:
        pytest.skip("another BLAS than the OpenBLAS of NumPy's wheel")
    return functions[0]()


@pytest.mark.parametrize("shared", [True, False])
def test_blas_computes_alone_while_threads_of_ours_share_blocks(monkeypatch, shared):
    before = _blas_threads()
    monkeypatch.setattr(threads._Setting, "n", 2)
    monkeypatch.setattr(image_blocks, "get_num_threads", lambda: 2)
    try:
        threads._openblas()[1](2)
        seen = [None] * 4

        def work(i, part):
            seen[i] = _blas_threads()
            with threads.blas_alone():  # an operator inside of another's blocks
                assert _blas_threads() == 1

        image_blocks.run_blocks(work, [slice(i, i + 1) for i in range(4)], shared=shared)
        assert seen == [1 if shared else 2] * 4
        assert _blas_threads() == 2
    finally:
        threads._openblas()[1](before)


def test_an_error_in_a_block_lets_blas_have_its_threads_again(monkeypatch):
    before = _blas_threads()
    monkeypatch.setattr(image_blocks, "get_num_threads", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        image_blocks.run_blocks(lambda i, _: np.float64(1) if i else 1 / 0, [slice(0, 1)] * 2)
    assert _blas_threads() == before
