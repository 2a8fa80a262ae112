"""What users of `DistributedDataParallel` are told when ranks could drift apart."""

from __future__ import annotations

from collections.abc import Sequence

_MISSING = (
    "Expected to have finished reduction in the prior iteration before starting a new one. This "
    "error indicates that your module has parameters that were not used in producing loss: "
    "backward ended without gradients for {n} of {total} parameters, so the ranks cannot be "
    "averaged: {names}. You can enable unused parameter detection by passing the keyword argument "
    "`find_unused_parameters=True` to `torch.nn.parallel.DistributedDataParallel`, and by making "
    "sure all `forward` function outputs participate in calculating loss. Parameter indices which "
    "did not receive grad for rank {rank}: {indices}"
)
UNFINISHED = (
    "Expected to have finished reduction in the prior iteration before starting a new one: the "
    "last backward pass of rank {rank} ended early, after {started} of {n} buckets of gradients "
    "had gone to the other ranks, which wait for the others. A step cannot be skipped by one rank "
    "alone: let the error that ended the pass end this rank, and restart from a checkpoint"
)
TWICE = (
    "Expected to mark a variable ready only once. Parameter {name!r} received a gradient after it "
    "had been averaged. It is used in several reentrant backward passes (checkpointing; "
    "static_graph=True allows that), outside of the `forward` function, or is not reached from the "
    "outputs of forward although find_unused_parameters=True (rank {rank})"
)
CHANGED = (
    "parameter {name!r} was of shape {old_shape} and {old_dtype} when the model was wrapped with "
    "DistributedDataParallel, and its gradient is of shape {shape} and {dtype}; change models (by "
    ".to(), .half(), ...) before they are wrapped (rank {rank})"
)
THAWED = (
    "parameter {name!r} did not require a gradient when the model was wrapped with "
    "DistributedDataParallel and does now, so it would be trained without being averaged; wrap the "
    "model again after changing requires_grad (rank {rank})"
)
REPLACED = (
    "parameter {name!r} is not the one that DistributedDataParallel averages the gradients of: it "
    "was replaced after the model was wrapped, or for this call by functional_call. Wrap the model "
    "again after changing it; for each rank's own gradients call the wrapped module (.module) or "
    "use no_sync() (rank {rank})"
)
TAKEN = (
    "the gradient of parameter {name!r} was taken away before it had been averaged over the ranks, "
    "so the models would drift apart: hooks of parameters run when the gradient of their own rank "
    "is there. Step after backward(), or in a communication hook (register_comm_hook) (rank {rank})"
)
NO_MEMORY = (
    "{error}. DistributedDataParallel keeps gradients in memory that the ranks of a host share: "
    "{nbytes} bytes for this model on each rank, as any other memory of the process (the size of "
    "/dev/shm does not count, the limit of a container does). Run fewer ranks on this host, or "
    "give it more memory"
)
_GRAPH_CHANGED = (
    "Your training graph has changed in this iteration, e.g., one parameter is used in first "
    "iteration, but then got unused in the second iteration. this is not compatible with "
    "static_graph set to True: {names} (rank {rank})"
)
_DIFFERENT_NUMBERS = (
    "DDP expects same model across all ranks, but Rank {rank} has {n} params, while rank 0 has "
    "inconsistent {n_first} params."
)
_DIFFERENT_SHAPES = (
    "[{rank}]: params[{at}] in this process with sizes {sizes} appears not to match sizes of the "
    "same param in process 0."
)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def without_gradient(missing: Sequence[int], names: Sequence[str], rank: int) -> str:
    """The text for parameters, by index, that a backward pass did not reach."""
    return _MISSING.format(
        n=len(missing),
        total=len(names),
        names=_list([names[i] for i in missing]),
        rank=rank,
        indices=" ".join(map(str, missing)),
    )


def graph_changed(parameters: Sequence[int], names: Sequence[str], rank: int) -> str:
    """The text for parameters that are used otherwise than in the first iteration."""
    return _GRAPH_CHANGED.format(names=_list([names[i] for i in parameters]), rank=rank)


Description = tuple[str, tuple[int, ...], str, str]  # name, shape, dtype, trained or frozen


def difference(every: Sequence[Sequence[Description]]) -> str | None:
    """How the first rank's parameters differ from another's, None if they do not."""
    for rank, theirs in enumerate(every):
        if theirs != every[0]:
            return _difference(every[0], theirs, rank)
    return None


def _difference(first: Sequence[Description], other: Sequence[Description], rank: int) -> str:
    pairs = enumerate(zip(first, other, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(first), len(other)))
    ours = first[at] if at < len(first) else "nothing"
    theirs = other[at] if at < len(other) else "nothing"
    text = (
        f"DistributedDataParallel: the models differ between ranks: parameter {at} is {ours} on "
        f"rank 0 and {theirs} on rank {rank} ({len(first)} and {len(other)} parameters). "
    )
    if len(first) != len(other):
        return text + _DIFFERENT_NUMBERS.format(rank=rank, n=len(other), n_first=len(first))
    if first[at][1] != other[at][1]:
        return text + _DIFFERENT_SHAPES.format(rank=rank, at=at, sizes=list(other[at][1]))
    return text
