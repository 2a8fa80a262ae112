"""Put a stored run into README.md and draw it: `python -m benchmarks.report docs/benchmarks.json`.

The table replaces what stands between the two markers in README.md; the drawing goes beside the
JSON file as SVG and needs Matplotlib.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.result import Result, load, markdown_table

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def with_table(readme: str, machine: dict[str, str], results: Sequence[Result]) -> str:
    """`readme` with the table between its markers replaced; ValueError where they are missing."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md has no '{BEGIN}' followed by '{END}'")
    about = (
        f"Medians on {machine['processor']}, {machine['date']}; Python {machine['python']}, "
        f"torch {machine['torch']}, NumPy {machine['numpy']}."
    )
    return f"{head}{BEGIN}\n{markdown_table(results)}\n\n{about}\n{END}{tail}"


def draw(path: Path, results: Sequence[Result]) -> None:
    """Bars of torch / disttorch on a logarithmic axis; right of 1 disttorch needs less."""
    import matplotlib as mpl

    mpl.use("svg")
    # Text as paths looks alike with any fonts; a fixed salt keeps the file the same between runs.
    mpl.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "disttorch"})
    import matplotlib.pyplot as plt

    bars = [(r.title, r.ratio) for r in reversed(results) if r.ratio is not None]
    figure, axes = plt.subplots(figsize=(8, 0.4 * len(bars) + 1.2), layout="constrained")
    colours = ["#2a7f62" if ratio >= 1 else "#b5523b" for _, ratio in bars]
    # Bars grow from 1, so that their length is the factor on either side.
    widths = [ratio - 1 for _, ratio in bars]
    drawn = axes.barh([title for title, _ in bars], widths, left=1, color=colours)
    axes.bar_label(drawn, [f"{ratio:.3g}x" for _, ratio in bars], padding=3)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}x")
    axes.axvline(1, color="black", linewidth=0.8)
    ratios = [ratio for _, ratio in bars]
    axes.set_xlim(min(1, *ratios) / 2, max(1, *ratios) * 2)  # room for the numbers
    axes.set_xlabel("torch / disttorch (right of 1: disttorch needs less)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main(arguments: Sequence[str]) -> None:
    """Update README.md and draw."""
    stored = Path(arguments[0])
    machine, results = load(stored)
    README.write_text(with_table(README.read_text(), machine, results))
    draw(stored.with_suffix(".svg"), results)


if __name__ == "__main__":
    main(sys.argv[1:] or ["docs/benchmarks.json"])
