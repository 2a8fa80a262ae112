"""Averaging often among few ranks, and rarely among many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from disttorch import distributed
from disttorch.distributed.algorithms.model_averaging.averagers import (
    ModelAverager,
    check_warmup,
    warn_of_every_step,
)
from disttorch.distributed.algorithms.model_averaging.parameters import (
    Parameters,
    average_parameters_or_parameter_groups,
)


class HierarchicalModelAverager(ModelAverager):
    """Averages every so many steps among groups of so many neighbours, ``{period: group size}``.

    Periods and sizes go up; the last group is the whole `process_group`. Where several periods
    end, only the longest counts. Averaging begins at step `warmup_steps`. Raises ValueError for an
    empty table, a period below 1, negative warm-up, or a last group that is not all ranks.
    """

    def __init__(
        self,
        period_group_size_dict: Mapping[int, int] | None = None,
        warmup_steps: int = 0,
        process_group: Any = None,
    ) -> None:
        super().__init__(process_group)
        if not period_group_size_dict:
            raise ValueError("Arg ``period_group_size_dict`` must not be empty.")
        self._periods = list(period_group_size_dict)
        if self._periods[0] <= 0:
            raise ValueError(
                "The minimum period in arg ``period_group_size_dict`` must be a positive value."
            )
        if self._periods[-1] == 1:
            warn_of_every_step("the maximum period in arg ``period_group_size_dict``")
        last, n_ranks = list(period_group_size_dict.values())[-1], self.process_group.size
        if last != n_ranks:
            raise ValueError(
                f"The last value in arg ``period_group_size_dict`` {last} must be equal to the "
                f"size of arg ``process_group`` {n_ranks}."
            )
        self.warmup_steps = check_warmup(warmup_steps)
        self.period_process_group_dict = {
            period: self._group_of(size) for period, size in period_group_size_dict.items()
        }

    def _group_of(self, size: int) -> Any:
        """This rank's group of `size` neighbours."""
        if size == self.process_group.size:
            return self.process_group
        return distributed.new_subgroups(size, self.process_group)[0]

    def _find_process_group(self) -> Any:
        """The ranks to average among at this step, None for none."""
        due = (p for p in reversed(self._periods) if self.step % p == 0)
        period = next(due, None)
        return None if period is None else self.period_process_group_dict[period]

    def average_parameters(self, params: Parameters) -> None:
        """Average what has a gradient among the ranks whose turn it is; call it each step."""
        group = self._find_process_group() if self.step >= self.warmup_steps else None
        if group is not None:
            average_parameters_or_parameter_groups(params, group)
        self.step += 1
