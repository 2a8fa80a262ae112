"""`disttorch.utils`: tools around training; `disttorch.utils.data` loads it."""

from disttorch.utils import data
