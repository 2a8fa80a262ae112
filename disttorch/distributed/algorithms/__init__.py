"""`disttorch.distributed.algorithms`: joining with uneven inputs, communication hooks."""

from disttorch.distributed.algorithms.join import Join, Joinable, JoinHook
