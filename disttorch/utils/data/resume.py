"""Going on in the middle of a pass: what a state holds, and how a loader gets there from it.

The order of a pass is a function of the generators at its start, so a state is those and how many
samples were delivered. Skipped samples are not fetched, except those of streams.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from disttorch.random import Generator
from disttorch.utils.data.distributed import DistributedSampler, rank_and_size
from disttorch.utils.data.fetch import Position, state_getter
from disttorch.utils.data.progress import (
    Progress,
    Rewound,
    generators_of,
    n_samples_of,
    random_state,
)
from disttorch.utils.data.sampler import BatchSampler
from disttorch.utils.data.sharded import Consumed, ShardedDataset, consumed_by

_VERSION = 1


@dataclass(frozen=True)
class Share:
    """What a worker has delivered before: skipped by a stream, or known to a stateful one."""

    n_samples: int = 0
    position: Position | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing is left of the pass."""
        return self.position is not None and self.position.ended

    def prepare(self, dataset: Any) -> None:
        """Give a stateful dataset its state back."""
        if self.position is not None:
            # A copy: it may keep what it is given.
            dataset.load_state_dict(copy.deepcopy(self.position.dataset_state))

    def after(self, request: Any, position: Position | None) -> Share:
        """The share when one more request has been answered, with the position it led to."""
        if position is not None:
            return Share(0, position)
        return Share(self.n_samples + n_samples_of(request), self.position)

    def of_next_pass(self) -> Share:
        """What is left of it for the next pass of the same worker: the state of its dataset."""
        position = self.position
        return Share(0, Position(position.dataset_state) if position is not None else None)


def can_go_on(stream: Any) -> bool:
    """Whether another worker can go on where one was in a stream."""
    return isinstance(stream, ShardedDataset) or state_getter(stream) is not None


@dataclass(frozen=True)
class Plan:
    """How the next pass of a loader is to begin; `shares` are by worker."""

    state: dict[str, Any]
    shares: Sequence[Share]
    n_batches: int
    ahead: frozenset[int]
    n_skipped: int  # samples of the sampler's order, 0 if the sampler knows of them
    turn: int

    @property
    def drew_seed(self) -> bool:
        """Whether the pass that is resumed drew a seed for its workers."""
        return bool(self.state["drew_seed"])

    def rewound(self, generators: dict[str, Generator]) -> Rewound:
        """A context in which the generators are as they were when that pass began."""
        return Rewound(generators, self.state["random_state"])

    def skip(self, loader: Any, requests: Iterator[Any], progress: Progress) -> Iterator[Any]:
        """Return the requests that are left; `progress` counts from where the pass stopped."""
        progress.n_batches, progress.ahead = self.n_batches, set(self.ahead)
        progress.n_samples = dict(self.state["n_samples"])
        progress.positions = _positions(self.state)
        progress.turn = self.turn
        if loader._stream:
            return requests
        left = self._left(loader, requests)
        # The first is asked for now, while the generators are what they were.
        return itertools.chain(list(itertools.islice(left, 1)), left)

    def _left(self, loader: Any, requests: Iterator[Any]) -> Iterator[Any]:
        batches = loader.batch_sampler
        if not self.ahead and type(batches) is BatchSampler:
            # By samples: the batches may be of another size than they were.
            if isinstance(batches.sampler, DistributedSampler):
                return requests
            rest = itertools.islice(batches.sampler, self.n_skipped, None)
            return iter(BatchSampler(rest, batches.batch_size, batches.drop_last))
        return (
            request
            for number, request in enumerate(requests)
            if number >= self.n_batches and number not in self.ahead
        )


def _shared_sampler(loader: Any) -> DistributedSampler | None:
    """The sampler of the loader that shares an order out among ranks, if that is how it works."""
    sampler = loader.batch_sampler
    if type(sampler) is BatchSampler and isinstance(sampler.sampler, DistributedSampler):
        return sampler.sampler
    return None


def state_of(loader: Any) -> dict[str, Any]:
    """The state of a loader's current pass, as plain data."""
    progress: Progress = loader._progress
    _, world_size = rank_and_size()
    state: dict[str, Any] = {
        "version": _VERSION,
        "finished": progress.finished,
        "random_state": progress.random_state,
        "base_seed": progress.base_seed,
        "drew_seed": progress.drew_seed,
        "n_batches": progress.n_batches,
        "ahead": sorted(progress.ahead),
        "n_samples": dict(progress.n_samples),
        **_dataset_states(loader, progress),
        "turn": progress.turn,
        "num_workers": loader.num_workers,
        "batch_size": loader.batch_size,
        "world_size": world_size,
    }
    if progress.finished:
        own = generators_of(loader.generator, loader._index_sampler)
        state["random_state"] = random_state(own)
    shared = _shared_sampler(loader)
    if shared is not None:
        state["sampler"] = shared.state_after(progress.total_samples)
    if isinstance(loader.dataset, ShardedDataset):
        n_workers = max(1, loader.num_workers)
        taken = consumed_by(progress.n_samples, n_workers, world_size)
        earlier = [list(c.n_samples) for c in loader.dataset.consumed]
        state["consumed"] = [*earlier, list(taken.n_samples)]
    return state


def plan_of(loader: Any, state: dict[str, Any]) -> Plan | None:
    """What a loader has to do to go on from a state; None for a pass that was finished.

    Raises ValueError if it cannot.
    """
    if state.get("version") != _VERSION:
        raise ValueError(f"not a state of a DataLoader of this version: {sorted(state)}")
    if state["finished"]:
        _restore_own(loader, state["random_state"])
        return None
    n_workers = max(1, loader.num_workers)
    shares = [Share() for _ in range(n_workers)]
    n_samples, turn = state["n_samples"], state["turn"]
    shared = _shared_sampler(loader)
    if shared is not None and "sampler" in state:
        shared.load_state_dict(state["sampler"])
        state = {**state, "n_samples": {}}
    elif isinstance(loader.dataset, ShardedDataset) and "consumed" in state:
        loader.dataset.consumed = [Consumed(c) for c in state["consumed"]]
        state = {**state, "n_samples": {}}
        turn = 0
    elif loader._stream:
        if n_workers != max(1, state["num_workers"]):
            raise ValueError(
                f"the state is that of a stream read by {state['num_workers']} workers, and cannot "
                f"be gone on from with {loader.num_workers}: wrap the dataset in "
                "disttorch.utils.data.ShardedDataset, which shares it out itself"
            )
        shares = [_share(state, w) for w in range(n_workers)]
    elif state["ahead"] and state["batch_size"] != loader.batch_size:
        raise ValueError(
            "a pass with in_order=False can be gone on from with the same batch_size only: "
            f"{state['batch_size']}, not {loader.batch_size}"
        )
    if not loader._stream and state["dataset_states"]:
        shares = _states_of_map(loader, state)
    return Plan(
        state=state,
        shares=shares,
        n_batches=state["n_batches"],
        ahead=frozenset(state["ahead"]),
        n_skipped=sum(n_samples.values()),
        turn=turn % n_workers,
    )


def _n_copies(loader: Any) -> int:
    """How many copies of a map-style dataset there are, each with a state of its own."""
    return max(1, loader.num_workers) if loader.worker_method != "thread" else 1


def _dataset_states(loader: Any, progress: Progress) -> dict[str, Any]:
    """What is known of a dataset with a state, as entries of a loader's state: copies."""
    positions = progress.positions
    if positions and not loader._stream and _n_copies(loader) == 1:
        # Threads share the dataset: its state is what the last of them saw.
        positions = {0: next(reversed(positions.values()))}
    return {
        "dataset_states": {w: copy.deepcopy(p.dataset_state) for w, p in positions.items()},
        "ended": sorted(w for w, p in positions.items() if p.ended),
        "n_copies": _n_copies(loader),
    }


def _positions(state: dict[str, Any]) -> dict[int, Position]:
    """Where the workers were in a dataset with a state."""
    ended = state.get("ended", ())
    return {w: Position(known, w in ended) for w, known in state["dataset_states"].items()}


def _states_of_map(loader: Any, state: dict[str, Any]) -> list[Share]:
    """What the workers' copies of a map-style dataset with a state begin with."""
    n_copies = state.get("n_copies", max(1, state["num_workers"]))
    if _n_copies(loader) != n_copies:
        like = f"num_workers={n_copies}" if n_copies > 1 else 'num_workers=1 or 0, or with "thread"'
        raise ValueError(
            f"the dataset has a state_dict, and the state to be loaded is that of {n_copies} "
            f"cop{'ies' if n_copies > 1 else 'y'} of it, one for each worker process; this loader "
            f"has {_n_copies(loader)}: go on with {like}, or do without load_state_dict in the "
            "dataset if its samples do not depend on those that were fetched before"
        )
    positions = _positions(state)
    return [Share(0, positions.get(w)) for w in range(n_copies)]


def _share(state: dict[str, Any], worker_id: int) -> Share:
    known = _positions(state).get(worker_id)
    return Share(0 if known is not None else state["n_samples"].get(worker_id, 0), known)


def _restore_own(loader: Any, state: dict[str, Any]) -> None:
    """Set the generators of the loader and its sampler, not the default one."""
    for name, generator in generators_of(loader.generator, loader._index_sampler).items():
        if name != "default" and name in state["generators"]:
            generator.set_state(state["generators"][name])
