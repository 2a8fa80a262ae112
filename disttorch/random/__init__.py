"""Random numbers: generators whose CPU stream is torch's own, and samplers that fill ndarrays.

`generator` holds the state and the process-wide functions, `continuous`, `discrete` and
`rejection` the distributions. All work on ndarrays and know nothing of Tensors, which import them;
the functions that return Tensors are in `disttorch.ops`.
"""

from __future__ import annotations

from disttorch.random.continuous import (
    fill_cauchy,
    fill_exponential,
    fill_log_normal,
    fill_normal,
    fill_uniform,
)
from disttorch.random.discrete import (
    fill_bernoulli,
    fill_bernoulli_from,
    fill_geometric,
    fill_random,
    fill_random_range,
    multinomial,
)
from disttorch.random.generator import (
    Generator,
    bind_state_type,
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from disttorch.random.permutation import permutation
from disttorch.random.rejection import fill_binomial, fill_gamma, fill_poisson

__all__ = [
    "Generator",
    "bind_state_type",
    "default_generator",
    "fill_bernoulli",
    "fill_bernoulli_from",
    "fill_binomial",
    "fill_cauchy",
    "fill_exponential",
    "fill_gamma",
    "fill_geometric",
    "fill_log_normal",
    "fill_normal",
    "fill_poisson",
    "fill_random",
    "fill_random_range",
    "fill_uniform",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "multinomial",
    "permutation",
    "seed",
    "set_rng_state",
]
