"""What each rank of `disttorch.launch` runs: `-m disttorch.multiprocessing.rank_body FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(folder: str) -> None:
    """Make the call in FOLDER/call and leave what it returns in FOLDER/result-RANK."""
    import cloudpickle  # noqa: PLC0415 - after the caller's path is known

    fn, args, kwargs = cloudpickle.loads(Path(folder, "call").read_bytes())
    result = cloudpickle.dumps(fn(*args, **kwargs))
    path = Path(folder, f"result-{os.environ['RANK']}")
    path.with_suffix(".new").write_bytes(result)
    path.with_suffix(".new").rename(path)


if __name__ == "__main__":
    known = set(sys.path)
    caller = os.environ.pop("DISTTORCH_LAUNCH_PATH", "").split(os.pathsep)
    sys.path += [entry for entry in caller if entry and entry not in known]
    main(sys.argv[1])
