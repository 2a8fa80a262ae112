"""Tools around training: `data` loads, `checkpoint` trades time for memory, `dlpack` shares it."""

from disttorch.utils import checkpoint, data, dlpack, hooks
