"""Put a stored run into the documents and draw it.

`python -m benchmarks.report docs/benchmarks.json`. Tables replace what stands between two markers:
README.md has the headlines, benchmarks.md beside the JSON file has all rows. The drawing goes
there, too, as SVG, and needs Matplotlib.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.result import Result, load, markdown_table, times

README = Path(__file__).parent.parent / "README.md"
HEADLINES = frozenset(
    """
    tiny-op chain mlp lenet all-reduce-1K all-reduce-64K all-reduce-1M all-reduce-100M
    all-reduce-64K-8 all-gather-25M ddp-lenet ddp-mlp load-image-0 load-image-2 load-digit-0
    load-digit-2 load-tensor-0 load-memory first-image launch launch-16 import-time import-rss
    installed-size
    """.split()
)
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def with_table(text: str, machine: dict[str, str], results: Sequence[Result]) -> str:
    """`text` with the table between its markers replaced; ValueError where they are missing."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"there is no '{BEGIN}' followed by '{END}'")
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
    axes.bar_label(drawn, [times(ratio) for _, ratio in bars], padding=3)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}x")
    axes.axvline(1, color="black", linewidth=0.8)
    ratios = [ratio for _, ratio in bars]
    axes.set_xlim(min(1, *ratios) / 2, max(1, *ratios) * 2)  # room for the numbers
    axes.margins(y=0.01)
    axes.set_xlabel("torch / disttorch (right of 1: disttorch needs less)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main(arguments: Sequence[str]) -> None:
    """Update both documents and draw the headlines."""
    stored = Path(arguments[0])
    machine, results = load(stored)
    headlines = [result for result in results if result.row in HEADLINES]
    for page, rows in ((README, headlines), (stored.with_suffix(".md"), results)):
        page.write_text(with_table(page.read_text(), machine, rows))
    draw(stored.with_suffix(".svg"), headlines)


if __name__ == "__main__":
    main(sys.argv[1:] or ["docs/benchmarks.json"])
