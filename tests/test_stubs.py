"""Type checkers and editors see every public name, with the signature of what is run."""

import ast
import subprocess
import sys
from pathlib import Path

import disttorch
from disttorch import ops

ROOT = Path(__file__).parent.parent
CHECK = """
from tests.stubs import ROOT, stubs
for path, text in stubs():
    if not path.exists() or path.read_text() != text:
        print(path.relative_to(ROOT))
"""


def declared(path: str, inside: str = "") -> set[str]:
    """Names that a stub declares, at its top level or in one of its classes."""
    body = ast.parse((ROOT / path).read_text()).body
    if inside:
        (body,) = (n.body for n in body if isinstance(n, ast.ClassDef) and n.name == inside)
    names = set()
    for node in body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets}
    return names


def test_stubs_are_those_that_the_code_gives():
    """In a process of its own: what has been imported adds names to packages."""
    command = [sys.executable, "-c", CHECK]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout, f"run `python -m tests.stubs`; out of date:\n{done.stdout}"


def test_every_function_and_method_is_declared():
    assert declared("disttorch/__init__.pyi") >= {*ops.PUBLIC, "float32", "no_grad", "nn", "Tensor"}
    methods = declared("disttorch/bound_methods.pyi", inside="BoundMethods")
    assert methods >= {*ops.METHODS, "backward", "register_hook"}
    assert all(hasattr(disttorch.Tensor, name) for name in methods)
