"""``torch.signal``: windows."""

from disttorch.signal import windows
