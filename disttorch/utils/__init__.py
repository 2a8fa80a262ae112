"""`disttorch.utils`: tools around training; `data` loads it, `checkpoint` trades time for memory."""

from disttorch.utils import checkpoint, data, dlpack
