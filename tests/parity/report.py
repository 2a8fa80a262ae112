"""docs/parity.md: what agrees with PyTorch and what does not, written by the comparison itself."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.parity.known_gaps import GAPS
from tests.parity.op_checks import Outcome

_HEAD = """# Parity with PyTorch

Written by `python -m tests.parity.op_db --write docs/parity.md` with PyTorch {version} (CPU build);
do not edit. Each line of a table is one entry of PyTorch's own test data. An operator counts as
passed only if every sample agrees: value, dtype, shape, gradient, second gradient, the method and
the in-place method, `out=`, and views where PyTorch gives views, in float64, float32, float16,
bfloat16, complex128, int64, uint8 and bool, as far as PyTorch knows the operator in them.

"""


def write_report(path: str, outcomes: list[Outcome]) -> None:
    """Write the page; the tables of modules and optimisers are made anew with it."""
    from tests.parity.module_db import module_table
    from tests.parity.optim_db import optim_table

    modules = [(r.name, r.n_agreeing, r.n_samples) for r in module_table()]
    optimisers = [(r.name, r.passed, r.total) for r in optim_table()]
    parts = [
        _HEAD.format(version=torch.__version__.split("+")[0]),
        _operators(outcomes),
        _table("Modules", "`module_db`", modules),
        _table("Optimisers", "`optim_db`, 20 steps each", optimisers),
    ]
    Path(path).write_text("\n".join(parts))


def _operators(outcomes: list[Outcome]) -> str:
    passed = [o for o in outcomes if o.passed]
    samples, agreed = sum(o.samples for o in outcomes), sum(o.agreed for o in outcomes)
    errors, told = sum(o.errors for o in outcomes), sum(o.errors_agreed for o in outcomes)
    lines = [
        "## Operators",
        "",
        "`op_db` without sparse, quantised and private entries.",
        "",
        "| | agree | of | |",
        "|---|---|---|---|",
        f"| entries | {len(passed)} | {len(outcomes)} | {_share(len(passed), len(outcomes))} |",
        f"| samples | {agreed} | {samples} | {_share(agreed, samples)} |",
        f"| bad inputs: exception type and text | {told} | {errors} | {_share(told, errors)} |",
        "",
        "### What does not agree",
        "",
        "| entry | samples that agree | why |",
        "|---|---|---|",
    ]
    for o in sorted((o for o in outcomes if not o.passed), key=lambda o: o.label):
        count = "missing" if o.missing else f"{o.agreed} of {o.samples}"
        lines.append(f"| `{o.label}` | {count} | {GAPS.get(o.label, 'not known')} |")
    lines += ["", "### What agrees", "", ", ".join(f"`{o.label}`" for o in passed), ""]
    return "\n".join(lines)


def _table(title: str, source: str, rows: list[tuple[str, int, int]]) -> str:
    """A section of (name, agreed, of) rows: the failing ones as a table, the others as a list."""
    whole = [name for name, agreed, of in rows if agreed == of]
    lines = [
        f"## {title}",
        "",
        f"{source}: {len(whole)} of {len(rows)} agree ({_share(len(whole), len(rows))}), "
        f"{sum(agreed for _, agreed, _ in rows)} of {sum(of for *_, of in rows)} configurations.",
        "",
    ]
    failing = [row for row in rows if row[1] != row[2]]
    if failing:
        lines += ["| does not agree | configurations that agree |", "|---|---|"]
        lines += [f"| `{name}` | {agreed} of {of} |" for name, agreed, of in failing] + [""]
    return "\n".join([*lines, ", ".join(f"`{name}`" for name in whole), ""])


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"
