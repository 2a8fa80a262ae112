"""Running averages of what a training loop measures."""

from __future__ import annotations


class AverageMeter:
    """Mean of the values given to `update`, each with a weight (the batch size, say)."""

    def __init__(self) -> None:
        self.total = 0.0
        self.weight = 0.0

    def update(self, value: float, n: float = 1) -> None:
        """Count `value` as the mean of `n` observations."""
        self.total += float(value) * n
        self.weight += n

    @property
    def average(self) -> float:
        """The mean so far; nan before the first value."""
        return self.total / self.weight if self.weight else float("nan")
