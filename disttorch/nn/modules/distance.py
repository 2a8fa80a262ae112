"""Similarity and distance of vectors."""

from __future__ import annotations

from disttorch.nn.modules.function_module import FunctionModule, defaults


class CosineSimilarity(FunctionModule):
    """Cosine of the angle between vectors along `dim`."""

    function = "cosine_similarity"
    settings = defaults(dim=1, eps=1e-8)

    def extra_repr(self) -> str:
        """Return nothing, as PyTorch does."""
        return ""


class PairwiseDistance(FunctionModule):
    """Norm of order `p` of the difference of vectors along the last dimension."""

    function = "pairwise_distance"
    settings = defaults(p=2.0, eps=1e-6, keepdim=False)

    def extra_repr(self) -> str:
        """Return nothing, as PyTorch does."""
        return ""
