"""What type checkers and editors cannot see: names that are bound when disttorch is imported.

`python -m tests.stubs` writes the stubs: `__init__.pyi` beside every package whose `__init__.py`
re-exports without `__all__`, and `bound_methods.pyi`, the base class that Tensor has for type
checkers alone. Each name leads to the function that is run, so its signature and docstring are
that function's.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import disttorch
from disttorch import ops
from disttorch.autograd import tensor_methods
from disttorch.ops import operators

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "disttorch",
    *(f"disttorch.{name}" for name in ("autograd", "cuda", "distributed", "distributions")),
    *(f"disttorch.{name}" for name in ("func", "meter", "nn.functional", "nn.parallel")),
    *(f"disttorch.{name}" for name in ("profiler", "signal", "special", "utils", "utils.data")),
)
# Annotations that mean in a stub what they mean where they stand.
_SIMPLE = ("Tensor", "int", "float", "bool", "str", "None")
PLAIN = {*_SIMPLE, *(f"{name} | None" for name in _SIMPLE)}
HEADER = '"""Written by `python -m tests.stubs`; do not edit."""\n'
BUILTINS = "from builtins import bool as _bool, float as _float, int as _int\n"
UNARY = {"__abs__", "__invert__", "__neg__", "__pos__"}
WRITTEN = {name: module for module in ops.MODULES for name in module.__all__}
WRITTEN |= {name: tensor_methods for name in tensor_methods.METHODS}
# Python's operators answer NotImplemented to what they do not know; users never see that.
BINARY = {*operators.OPERATORS, "__matmul__", "__rmatmul__"} - UNARY


@cache
def imports(module: str) -> dict[str, str]:
    """Names that a module imports from others, as "module:name"."""
    found = {}
    for node in ast.parse(Path(sys.modules[module].__file__).read_text()).body:
        if isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{node.module}:{a.name}" for a in node.names}
    found.pop("*", None)
    return found


@cache
def bound(module: str) -> frozenset[str]:
    """Names that the text of a module gives a signature or a value to, at its top level."""
    names = set(imports(module))
    for node in ast.parse(Path(sys.modules[module].__file__).read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and not isinstance(node.value, ast.Call):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(names)


def source(package: ModuleType, name: str) -> str:
    """Where a name of a package is written down, as "module:name"; "" if it is made by a table."""
    value = getattr(package, name)
    if isinstance(value, ModuleType):
        inside = value.__name__ == f"{package.__name__}.{name}"
        return f"{package.__name__}:{name}" if inside else imports(package.__name__).get(name, "")
    if package is disttorch and name in WRITTEN:
        where = WRITTEN[name].__name__
    elif name in imports(package.__name__):
        return imports(package.__name__)[name]
    else:
        where = getattr(value, "__module__", None) or ""
    own = getattr(value, "__name__", name)
    for spelled in (name, own):
        if where in sys.modules and where != package.__name__ and spelled in bound(where):
            return f"{where}:{spelled}"
    return ""


def signature(value: Callable[..., Any], first: str = "") -> str:
    """Parameters and result of what is made by a table; `first` is another name of the first."""
    whole = inspect.signature(value)
    parameters = [
        p.replace(
            annotation=p.annotation if p.annotation in PLAIN else "Any",
            default=p.default if p.default is p.empty else Ellipsis,
        )
        for p in whole.parameters.values()
    ]
    if first:
        parameters[0] = parameters[0].replace(name=first, annotation=inspect.Parameter.empty)
    returns = whole.return_annotation if whole.return_annotation in PLAIN else "Any"
    text = str(whole.replace(parameters=parameters, return_annotation=returns))
    return builtin(text.replace("Ellipsis", "...").replace("'", ""))


def builtin(text: str) -> str:
    """Annotations by names that nothing hides: disttorch.int is a dtype, Tensor.int a method."""
    return re.sub(r"\b(int|float|bool)\b", r"_\1", text)


def definition(name: str, value: object) -> str:
    """Declare what is made by a table, as far as it tells."""
    if isinstance(value, type):
        return f"{name}: type[Any]\n"
    if callable(value):
        return f"def {name}{signature(value)}: ...\n"
    return f"{name}: {value if value is None else 'Any'}\n"


def package_stub(package: ModuleType) -> str:
    """The stub of a package: everything that `dir` names, re-exported."""
    lines, made = set(), []
    tree = ast.parse(Path(package.__file__).read_text())
    for name in sorted({*dir(package), *imports(package.__name__)}):
        if name == "annotations" or (name.startswith("_") and name != "__version__"):
            continue
        value = getattr(package, name)
        if isinstance(value, ModuleType) and not value.__name__.startswith("disttorch"):
            continue
        where, _, own = source(package, name).partition(":")
        if where:
            lines.add(f"from {where} import {own} as {name}\n")
        else:
            made.append(written(tree, name) or definition(name, value))
    text = "".join(made)
    needed = BUILTINS if re.search(r"_(int|float|bool)\b", text) else ""
    needed += "from typing import Any\n" if "Any" in text else ""
    if "Tensor" in text and not any(line.endswith(" as Tensor\n") for line in lines):
        needed += "from disttorch.tensor import Tensor\n"
    return HEADER + "\n" + needed + "".join(sorted(lines)) + "\n" + text


def written(tree: ast.Module, name: str) -> str:
    """The signature of a function that the package itself defines, "" if there is none."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            head = ast.FunctionDef(
                name=name, args=node.args, returns=node.returns, decorator_list=[],
                body=[ast.Expr(ast.Constant(...))], type_params=[],
            )  # fmt: skip
            return ast.unparse(ast.fix_missing_locations(head)) + "\n"
    return ""


def method(name: str, value: Any) -> str:
    """The line that declares a method of Tensor."""
    if name == "__new__":
        return "    def __new__(cls, *args: Any, **keywords: Any) -> Self: ...\n"
    if name in UNARY:
        return f"    def {name}(self) -> Tensor: ...\n"
    if name in {"__eq__", "__ne__"}:
        return f"    def {name}(self, other: object) -> Tensor: ...  # type: ignore[override]\n"
    if name in BINARY:
        return f"    def {name}(self, other: Any) -> Tensor: ...\n"
    base = name if name in WRITTEN else name.removesuffix("_")
    if isinstance(value, property):
        result = inspect.signature(value.fget).return_annotation
        kind = builtin(result) if result in PLAIN else "Any"
        return f"    @property\n    def {name}(self) -> {kind}: ...\n"
    if base in WRITTEN and base in bound(WRITTEN[base].__name__):
        return f"    {name} = _{WRITTEN[base].__name__.rpartition('.')[2]}.{base}\n"
    return f"    def {name}{signature(value, first='self')}: ...\n"


def methods_stub() -> str:
    """The base class of Tensor: every method that is bound to it at import."""
    methods = {**tensor_methods.METHODS, **ops.METHODS}
    bodies = "".join(method(name, f) for name, f in sorted(methods.items()))
    modules = {m.__name__ for m in WRITTEN.values()}
    used = sorted(m.rpartition(".") for m in modules if f" _{m.rpartition('.')[2]}." in bodies)
    return (
        f"{HEADER}\n{BUILTINS}from typing import Any, Self\n"
        f"from disttorch.host_values import HostValues\nfrom disttorch.tensor import Tensor\n"
        + "".join(f"from {package} import {name} as _{name}\n" for package, _, name in used)
        + f"\nclass BoundMethods(HostValues):\n{bodies}"
    )


def stubs() -> Iterator[tuple[Path, str]]:
    """Every stub: its path and its text."""
    for name in PACKAGES:
        package = import_module(name)
        yield Path(package.__file__).with_suffix(".pyi"), package_stub(package)
    yield ROOT / "disttorch" / "bound_methods.pyi", methods_stub()


if __name__ == "__main__":
    for path, text in stubs():
        path.write_text(text)
