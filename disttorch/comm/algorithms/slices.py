"""How arrays are divided among ranks."""

from __future__ import annotations

# Elements a slice boundary is rounded to, so that ranks do not share cache lines.
ALIGN = 64


def cuts(n_items: int, n_parts: int) -> list[int]:
    """`n_parts` + 1 bounds that split `n_items` into aligned, nearly equal slices."""
    width = -(-n_items // n_parts)
    width = -(-width // ALIGN) * ALIGN
    return [min(i * width, n_items) for i in range(n_parts)] + [n_items]
