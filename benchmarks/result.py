"""What one run found: a plain record that is printed, stored as JSON and drawn."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from statistics import median

UNITS = {
    "s": ((1, "s"), (1e-3, "ms"), (1e-6, "us"), (0, "us")),
    "B": ((1e6, "MB"), (0, "MB")),
    "%": ((1, "%"), (0, "%")),
}


@dataclass(frozen=True)
class Result:
    """Samples of one row by library; a library without samples has its reason in `missing`."""

    row: str
    title: str
    unit: str
    samples: dict[str, list[float]]
    missing: dict[str, str]

    def typical(self, library: str) -> float | None:
        """Median of a library's samples; None where there are none."""
        taken = self.samples.get(library)
        return median(taken) if taken else None

    @property
    def ratio(self) -> float | None:
        """How many times less disttorch needs than torch; None unless both were measured.

        Shares have none, since more of them is better.
        """
        if self.unit == "%":
            return None
        ours, theirs = self.typical("disttorch"), self.typical("torch")
        return theirs / ours if ours and theirs else None


def quantity(value: float | None, unit: str) -> str:
    """Three significant digits in a unit of readable size; a dash where there is no value."""
    if value is None:
        return "-"
    scale, name = next((s, n) for s, n in UNITS[unit] if value >= s)
    scale = scale or min(s for s, _ in UNITS[unit] if s)
    return f"{_three_digits(value / scale)} {name}"


def times(ratio: float) -> str:
    """A ratio as tables and drawings show it: 5.36x."""
    return f"{_three_digits(ratio)}x"


def _three_digits(value: float) -> str:
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{decimals}f}"


def table(results: Iterable[Result]) -> list[list[str]]:
    """Cells of the table, header first."""
    lines = [["", "torch", "disttorch", "torch / disttorch"]]
    for result in results:
        values = [quantity(result.typical(name), result.unit) for name in ("torch", "disttorch")]
        ratio = "-" if result.ratio is None else times(result.ratio)
        lines.append([result.title, *values, ratio])
    return lines


def text_table(results: Iterable[Result]) -> str:
    """The table for a terminal."""
    lines = table(results)
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(line[i].rjust(widths[i]) for i in (1, 2, 3))])
        for line in lines
    )


def markdown_table(results: Iterable[Result]) -> str:
    """The table for README.md."""
    header, *lines = (f"| {' | '.join(line)} |" for line in table(results))
    return "\n".join([header, "|---|---:|---:|---:|", *lines])


def machine() -> dict[str, str]:
    """Where and with what the figures were taken."""
    about = {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "python": platform.python_version(),
    }
    for name in ("disttorch", "torch", "numpy"):
        try:
            about[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            about[name] = "not installed"
    return about


def _processor() -> str:
    """Model and number of processors that this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    info = Path("/proc/cpuinfo")
    models = [
        line.split(":", 1)[1].strip()
        for line in (info.read_text().splitlines() if info.exists() else ())
        if line.startswith("model name")
    ]
    return f"{count} x {models[0] if models else platform.machine()}"


def save(path: Path, results: Iterable[Result]) -> None:
    """Write machine and results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"machine": machine(), "rows": [asdict(result) for result in results]}
    path.write_text(json.dumps(record, indent=1) + "\n")


def renewed(stored: Path, results: Iterable[Result], order: Iterable[str]) -> list[Result]:
    """The rows of a stored run with those of `results` in place of theirs, as `order` names them.

    Raises ValueError if the stored run is of another machine or of other versions.
    """
    about, rows = load(stored)
    if {**about, "date": ""} != {**machine(), "date": ""}:
        raise ValueError(f"{stored} was measured on another machine or with other versions")
    both = {result.row: result for result in (*rows, *results)}
    return [both[row] for row in order if row in both]


def load(path: Path) -> tuple[dict[str, str], list[Result]]:
    """Read what `save` wrote."""
    record = json.loads(path.read_text())
    return record["machine"], [Result(**row) for row in record["rows"]]
