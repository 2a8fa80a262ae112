"""Wait until all ranks have come."""

from __future__ import annotations

from disttorch.comm.collectives.context import Context, Run
from disttorch.comm.deadline import Deadline


def barrier(context: Context) -> Run:
    """Return on no rank before all ranks have called it."""
    mesh, call = context.mesh, context.calls.find("barrier")

    def run(deadline: Deadline) -> None:
        mesh.open(call)
        mesh.sync(deadline)

    return run
