from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest

from disttorch import random
from disttorch.random import Generator


def test_words_are_the_reference_stream():
    # The reference implementation's first outputs after init_genrand(5489).
    assert Generator().manual_seed(5489).words(3).tolist() == [3499211612, 581869302, 3890346734]


def test_wide_words_put_the_first_draw_on_top():
    assert Generator().manual_seed(5489).words64(1).tolist() == [(3499211612 << 32) | 581869302]


@pytest.mark.parametrize(
    ("seed", "initial"), [(0, 0), (-1, (1 << 64) - 1), ((1 << 64) - 1, (1 << 64) - 1), (7, 7)]
)
def test_seeds(seed, initial):
    generator = Generator()
    assert generator.manual_seed(seed) is generator
    assert generator.initial_seed() == initial


def test_only_the_low_half_of_a_seed_counts():
    assert np.array_equal(
        Generator().manual_seed(3).words(4), Generator().manual_seed((5 << 32) + 3).words(4)
    )


def test_an_unseeded_generator_starts_where_torchs_does():
    assert Generator().initial_seed() == 67280421310721


def test_seed_draws_a_new_seed():
    generator = Generator()
    assert generator.seed() != generator.seed()
    assert generator.initial_seed() >> 63 == 0


def test_state_continues_the_stream():
    generator = Generator().manual_seed(4)
    random.fill_normal(np.empty(3), generator=generator)
    state, other = generator.get_state(), Generator()
    other.set_state(state)
    for copy in (other, generator.clone_state(), pickle.loads(pickle.dumps(generator))):
        expected = Generator()
        expected.set_state(state)
        assert copy.initial_seed() == 4
        for n in (2, 1, 20):
            np.testing.assert_array_equal(
                random.fill_normal(np.empty(n), generator=copy),
                random.fill_normal(np.empty(n), generator=expected),
            )


def test_state_has_torchs_layout():
    generator = Generator().manual_seed(0)
    random.fill_normal(np.empty(3, np.float32), generator=generator)
    state = np.array(generator.get_state())
    assert state.shape == (5056,)
    assert state[5024:5032].view(np.float64)[0] == pytest.approx(0.568431280)
    digest = hashlib.sha256(np.delete(state, slice(5024, 5032)).tobytes()).hexdigest()
    assert digest == "55092662222c8de97e0f3fb127ab35d33aaddcc9fc099ed1efe236a80d6df3a8"


@pytest.mark.parity
@pytest.mark.parametrize("n_drawn", [0, 1, 623, 624, 625, 1000])
def test_states_are_interchangeable_with_torch(n_drawn, assert_same_place):
    torch = pytest.importorskip("torch", reason="torch not installed")
    ours, theirs = Generator().manual_seed(11), torch.Generator().manual_seed(11)
    ours.words(n_drawn)
    torch.rand(n_drawn, generator=theirs)
    assert_same_place(ours, theirs)
    swapped = torch.Generator()
    swapped.set_state(torch.from_numpy(np.array(ours.get_state())))
    ours.set_state(theirs.get_state())
    expected = torch.rand(700, generator=swapped).numpy()
    assert np.array_equal(random.fill_uniform(np.empty(700, np.float32), generator=ours), expected)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda g: g.manual_seed(1 << 64), ValueError, "Overflow when unpacking long long"),
        (lambda g: g.manual_seed(-(1 << 63) - 1), ValueError, "Overflow when unpacking long long"),
        (lambda g: g.manual_seed(1.5), RuntimeError, "manual_seed expected a long, but got float"),
        (lambda g: g.set_state([1]), TypeError, "expected a torch.ByteTensor, but got list"),
        (lambda g: g.set_state(np.zeros(5056)), TypeError, "RNG state must be a torch.ByteTensor"),
        (lambda g: g.set_state(np.zeros(3, np.uint8)), RuntimeError, "of size 5056 but found"),
        (lambda g: g.set_state(np.zeros(5056, np.uint8)), RuntimeError, "Invalid mt19937 state"),
        (lambda g: g.get_offset(), RuntimeError, "CPU Generator does not use offset"),
        (lambda g: g.set_offset(1), RuntimeError, "CPU Generator does not use offset"),
        (lambda g: Generator("cuda"), RuntimeError, "CUDA is not supported for Generator"),
    ],
)
def test_refuses_bad_arguments(call, error, text):
    with pytest.raises(error) as caught:
        call(Generator())
    assert text in str(caught.value)


def next_number():
    return random.fill_uniform(np.empty(1))[0]


def test_the_default_generator_is_seeded_by_name():
    with random.fork_rng():
        assert random.manual_seed(123) is random.default_generator
        assert random.initial_seed() == 123
        first, state = next_number(), random.get_rng_state()
        second = next_number()
        random.set_rng_state(state)
        assert next_number() == second
        random.manual_seed(123)
        assert next_number() == first
        assert random.seed() == random.initial_seed()


def test_fork_rng_leaves_the_outer_stream_alone():
    with random.fork_rng():
        random.manual_seed(9)
        expected = [next_number(), next_number()]
        random.manual_seed(9)
        first = next_number()
        with random.fork_rng():
            next_number()
        assert [first, next_number()] == expected
        with random.fork_rng(enabled=False):
            assert next_number() not in expected
