"""What a library costs before it does anything: bytes on disk, seconds and memory to import.

`python -m benchmarks.footprint [library...]` prints both, with the size of each distribution.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from benchmarks.launchers import output_of

IMPORT = """
import json, sys, time
start = time.perf_counter()
import {library}
seconds = time.perf_counter() - start
with open("/proc/self/status") as status:
    rss_kb = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
print(json.dumps(dict(seconds=seconds, rss_bytes=rss_kb * 1024)))
"""


def import_cost(library: str) -> dict[str, float]:
    """`seconds` and `rss_bytes` of importing `library` in a new interpreter."""
    return json.loads(output_of([sys.executable, "-c", IMPORT.format(library=library)]))


def installed_bytes(library: str) -> dict[str, int]:
    """Bytes on disk of `library` and of each distribution it requires without extras."""
    sizes: dict[str, int] = {}
    pending = [library]
    while pending:
        name = pending.pop()
        if name not in sizes:
            sizes[name] = _distribution_bytes(name)
            pending += _requirements(name)
    return sizes


def _requirements(name: str) -> list[str]:
    """Names of what distribution `name` requires here, extras left out."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    required = map(Requirement, metadata.requires(name) or ())
    return [
        canonicalize_name(r.name)
        for r in required
        if r.marker is None or r.marker.evaluate({"extra": ""})
    ]


def _distribution_bytes(name: str) -> int:
    files = [Path(path.locate()) for path in metadata.files(name) or ()]
    if any(path.name.startswith("__editable__") for path in files):
        files = [
            path
            for package in ("disttorch", "disttorch_launcher")
            for path in Path(find_spec(package).origin).parent.rglob("*")
        ]
    return sum(path.stat().st_size for path in files if path.is_file())


def main() -> None:
    """Print a table for each library named."""
    for library in sys.argv[1:] or ["disttorch"]:
        cost, sizes = import_cost(library), installed_bytes(library)
        for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
            print(f"{size / 1e6:10.1f} MB  {name}")
        print(f"{sum(sizes.values()) / 1e6:10.1f} MB  {library} with all it requires")
        print(f"{cost['seconds'] * 1e3:10.0f} ms  import {library}")
        print(f"{cost['rss_bytes'] / 1e6:10.1f} MB  resident after it")


if __name__ == "__main__":
    main()
