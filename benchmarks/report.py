"""Put a stored run into the documents and draw it.

`python -m benchmarks.report docs/benchmarks.json`. Tables replace what stands between two markers:
README.md begins with a few ratios and has the headlines further down, benchmarks.md beside the
JSON file has all rows. The drawing goes there, too, as SVG, and needs Matplotlib.
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
# What README begins with; the last one is where torch is ahead.
FIRST = {
    "all-reduce-1M": "all-reduce, 1 MB",
    "load-image-2": "DataLoader, 2 workers",
    "ddp-mlp": "DDP step, 25 M parameters",
    "launch": "launch 2 ranks",
    "import-time": "import",
    "installed-size": "size on disk",
    "lenet": "LeNet step, one process",
}
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
FIRST_BEGIN, FIRST_END = "<!-- first: begin -->", "<!-- first: end -->"


def between(text: str, begin: str, body: str, end: str) -> str:
    """`text` with `body` between two markers; ValueError where they are missing."""
    head, found_begin, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"there is no '{begin}' followed by '{end}'")
    return f"{head}{begin}\n{body}\n{end}{tail}"


def first_table(results: Sequence[Result]) -> str:
    """The ratios that README begins with, side by side."""
    ratios = {result.row: result.ratio for result in results}
    cells = ["-" if (r := ratios.get(row)) is None else f"**{times(r)}**" for row in FIRST]
    titles = ["torch needs, of the same", *FIRST.values()]
    lines = (titles, ["---", *[":---:"] * len(FIRST)], ["times disttorch's", *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_table(text: str, machine: dict[str, str], results: Sequence[Result]) -> str:
    """`text` with the table between its markers replaced; ValueError where they are missing."""
    about = (
        f"Medians on {machine['processor']}, {machine['date']}; Python {machine['python']}, "
        f"torch {machine['torch']}, NumPy {machine['numpy']}."
    )
    return between(text, BEGIN, f"{markdown_table(results)}\n\n{about}", END)


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
    README.write_text(between(README.read_text(), FIRST_BEGIN, first_table(results), FIRST_END))
    draw(stored.with_suffix(".svg"), headlines)


if __name__ == "__main__":
    main(sys.argv[1:] or ["docs/benchmarks.json"])
