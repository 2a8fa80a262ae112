"""Bytes between two ranks: shared segments, liveness of processes, waiting."""
