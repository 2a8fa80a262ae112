from __future__ import annotations

import numpy as np
import pytest

from disttorch import random
from disttorch.random import Generator
from disttorch.random.block import FEW_WORDS, Block

REQUESTS = {
    "uniform": lambda n, g: random.fill_uniform(np.empty(n, np.float32), generator=g),
    "uniform64": lambda n, g: random.fill_uniform(np.empty(n), generator=g),
    "normal": lambda n, g: random.fill_normal(np.empty(n, np.float32), generator=g),
    "scaled": lambda n, g: random.fill_normal(np.empty(n, np.float32), 1.5, 0.3, generator=g),
    "mask": lambda n, g: random.fill_bernoulli(np.empty(n, bool), 0.3, generator=g),
    "integers": lambda n, g: random.fill_random_range(np.empty(n, np.int64), 3, 17, generator=g),
}
# Odd numbers, so that 64-bit words start at odd places; blocks of 16, with rests; large ones.
SIZES = (1, 3, 10, 15, 16, 17, 48, 100, 190, 700)


def requests(seed):
    """Some kinds and sizes of requests, one after the other."""
    numbers = np.random.RandomState(seed)
    return [(numbers.choice(list(REQUESTS)), int(numbers.choice(SIZES))) for _ in range(25)]


def place(generator):
    """A generator's state but for the kept normal number."""
    return np.delete(np.array(generator.get_state()), slice(5024, 5032)).tobytes()


@pytest.mark.parametrize("seed", range(12))
def test_requests_from_a_block_are_those_from_the_stream(seed, monkeypatch):
    ours, plain = Generator().manual_seed(seed), Generator().manual_seed(seed)
    made = [REQUESTS[name](n, ours) for name, n in requests(seed)]
    kept = ours.next_normal
    monkeypatch.setattr(Generator, "few", lambda self, n: None)
    for (name, n), values in zip(requests(seed), made, strict=True):
        np.testing.assert_array_equal(values, REQUESTS[name](n, plain), err_msg=f"{name} of {n}")
    assert place(ours) == place(plain)
    assert (kept is None) == (plain.next_normal is None)
    assert kept is None or kept == pytest.approx(plain.next_normal, rel=1e-12)


def test_small_requests_are_served_from_a_block():
    generator = Generator().manual_seed(0)
    generator.words(1)  # makes the first block
    block, start = generator.few(4)
    assert (start, generator.few(2)) == (1, (block, 5))
    assert generator.few(FEW_WORDS + 1) is None
    assert block.take(624) == -1


def test_a_block_begins_with_what_the_last_one_left():
    generator, plain = Generator().manual_seed(0), Generator().manual_seed(0)
    generator.words(500), plain.words(500)
    block, start = generator.few(100)
    assert block.words[start : start + 100].tolist() == plain.words(100).tolist()
    other, start = generator.few(50)  # of which the key has only 24
    assert other is not block
    assert other.words[start : start + 50].tolist() == plain.words(50).tolist()
    assert generator.few(7) == (other, start + 50)
    plain.words(7)
    assert place(generator) == place(plain)


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g.manual_seed(2),
        lambda g: g.set_state(Generator().manual_seed(2).get_state()),
        lambda g: g.words(2000),
        lambda g: g.skip(624),
    ],
)
def test_what_changes_the_key_ends_the_block(change):
    generator, plain = Generator().manual_seed(1), Generator().manual_seed(1)
    generator.words(1), plain.words(1)
    generator.few(4), plain.words(4)
    change(generator), change(plain)
    expected = (plain.words(5) & ((1 << 24) - 1)) / 2.0**24
    assert random.fill_uniform(np.empty(5, np.float32), generator=generator).tolist() == (
        expected.tolist()
    )


def test_what_is_handed_out_cannot_be_written_to():
    generator = Generator().manual_seed(0)
    generator.words(1)
    block, start = generator.few(4)
    assert isinstance(block, Block)
    for array in (block.words, block.units, block.wide(start, 2), block.units64(start, 2)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
