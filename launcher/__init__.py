"""disttorch-launch: starts one process a rank, watches over them and says what went wrong.

Decisions are in `supervisor` (pure), effects in `agent` (the one loop); `zygote` forks the ranks
and `bootstrap` runs the user's script inside each of them.
"""
