"""Entries of PyTorch's test data that do not agree, and why; the tests hold the list exact."""

from __future__ import annotations

GAPS: dict[str, str] = {}
