"""The rules no linter has: sizes, names, what may be imported where, and that tests mirror code."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import disttorch

ROOT = Path(__file__).parent.parent
PACKAGES = {"disttorch": ROOT / "disttorch", "launcher": ROOT / "launcher"}

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 50
# A name that explains nothing, or one that hides a module we depend on from its neighbours.
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "misc", "common", "api"}
FORBIDDEN_NAMES |= {"numpy", "zmq", "rich", "select", "signal", "socket", "threading", "typing"}

# Imported where first used, by those who use them.
NOT_AT_IMPORT = {"zmq", "rich", "cloudpickle", "numba", "cupy", "PIL", "torch", "ray", "mpi4py"}
NOT_AT_IMPORT |= {"tensorboard", "visdom", "asyncio", "multiprocessing", "concurrent", "sklearn"}
MAX_RSS_MB = 45

# Tests of behaviour across modules; the others mirror a file of the packages.
UNMIRRORED = {"fault", "parity", "examples"}


@cache
def sources() -> dict[str, str]:
    """Text of every module, by its path from the root."""
    files = [path for folder in PACKAGES.values() for path in folder.rglob("*.py")]
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted(files)}


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(text) for name, text in sources().items()}


def functions(tree):
    return [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]


def n_lines(function) -> int:
    """Lines of a function's body; a signature is as long as PyTorch made it, a docstring helps."""
    first = function.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.end_lineno - (first.end_lineno if is_docstring else first.lineno - 1)


def imported(tree) -> list[tuple[int, str]]:
    """Line and top-level name of every import in a module."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append((node.lineno, node.module.split(".")[0]))
    return found


def report(violations) -> None:
    violations = list(violations)
    assert not violations, "\n" + "\n".join(violations)


def test_files_are_short():
    lengths = {name: len(text.splitlines()) for name, text in sources().items()}
    report(f"{name}: {n} lines" for name, n in lengths.items() if n > MAX_FILE_LINES)


def test_functions_are_short():
    report(
        f"{name}:{f.lineno} {f.name}: {n_lines(f)} lines"
        for name, tree in trees().items()
        for f in functions(tree)
        if n_lines(f) > MAX_FUNCTION_LINES
    )


def test_names_explain():
    report(name for name in sources() if Path(name).stem in FORBIDDEN_NAMES)


def test_no_unfinished_business():
    report(
        f"{name}:{number} {line.strip()}"
        for name, text in sources().items()
        for number, line in enumerate(text.splitlines(), 1)
        if any(word in line for word in ("TODO", "FIXME", "XXX"))
    )


def test_durations_carry_their_unit():
    report(
        f"{name}:{f.lineno} {f.name}: call it timeout_s"
        for name, tree in trees().items()
        if name.startswith(("disttorch/comm/", "launcher/"))
        for f in functions(tree)
        for argument in [*f.args.args, *f.args.kwonlyargs]
        if argument.arg == "timeout"
        # PyTorch's method, on an object that its users are given as it is.
        and (name, f.name) != ("disttorch/comm/work.py", "wait")
    )


def test_ops_know_no_array_library():
    ops = {name: tree for name, tree in trees().items() if name.startswith("disttorch/ops/")}
    assert ops
    violations = [
        f"{name}:{line} imports {module}"
        for name, tree in ops.items()
        for line, module in imported(tree)
        if module in {"numpy", "cupy"}
    ]
    violations += [
        f"{name}:{node.lineno} asks for ndarray"
        for name, tree in ops.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Attribute, ast.Name))
        and getattr(node, "attr", getattr(node, "id", None)) == "ndarray"
    ]
    report(violations)


def test_torch_is_never_imported():
    report(
        f"{name}:{line}"
        for name, tree in trees().items()
        for line, module in imported(tree)
        if module in {"torch", "torchvision"}
    )


def test_public_functions_are_described():
    """Docstring and annotations of the functions that users see, factories' products included."""
    violations = []
    for name, function in disttorch.ops.MARKED.items():
        signature = inspect.signature(function)
        bare = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
        if signature.return_annotation is signature.empty:
            bare.append("return")
        if bare:
            violations.append(f"{name}: no annotation for {', '.join(bare)}")
        if not (function.__doc__ or "").strip():
            violations.append(f"{name}: no docstring")
    report(violations)


def test_tests_mirror_the_tree():
    violations = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        where = path.relative_to(ROOT / "tests")
        if len(where.parts) == 1 or where.parts[0] in UNMIRRORED:
            continue
        top = ROOT if where.parts[0] in {"launcher", "benchmarks"} else ROOT / "disttorch"
        subject = top / where.parent / where.stem.removeprefix("test_")
        if not (subject.is_dir() or subject.with_suffix(".py").exists()):
            violations.append(f"tests/{where}: there is no {subject.relative_to(ROOT)}.py")
    report(violations)


IMPORT_PROBE = """
import json, os, sys, threading
import numpy
def n_tasks():
    return len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else 1
before = n_tasks()
import {module}
rss_kb = 0
if os.path.exists("/proc/self/status"):
    with open("/proc/self/status") as status:
        rss_kb = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
print(json.dumps(dict(
    modules=sorted({{name.split(".")[0] for name in sys.modules}}),
    n_threads=threading.active_count() + n_tasks() - before,
    rss_mb=rss_kb / 1024,
)))
"""


def import_in_new_process(module: str) -> dict:
    """What `import module` loads, in an interpreter that has loaded nothing but NumPy."""
    code = IMPORT_PROBE.format(module=module)
    # NumPy's BLAS has threads of its own otherwise, and it is ours that are counted.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=50, check=False, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_import_is_light():
    seen = import_in_new_process("disttorch")
    assert not NOT_AT_IMPORT & set(seen["modules"])
    assert seen["n_threads"] == 1
    assert seen["rss_mb"] < MAX_RSS_MB


def test_launcher_import_is_light():
    seen = import_in_new_process("disttorch_launcher.cli")
    assert not (NOT_AT_IMPORT - {"zmq", "rich"}) & set(seen["modules"])
    assert seen["n_threads"] == 1
