"""What `load` takes from files it need not trust: tensors, numbers, text, containers, no code.

The unpickler runs only functions of a fixed list and those that the program itself declared safe
with `add_safe_globals`. Every instruction that could create or alter anything else is refused.
"""

from __future__ import annotations

import pickle
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from disttorch.tensor import Tensor

SafeGlobal = Callable[..., Any] | tuple[Callable[..., Any], str]

_BLOCKED_MODULES = ("sys", "os", "posix", "nt")
# Instructions with which a pickle makes instances of classes in other ways than the checked ones.
_REFUSED = ("INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER")


class _Declared:
    """The program's own safe globals, by name; a class so that rebinding is seen everywhere."""

    by_name: dict[str, Any] = {}  # noqa: RUF012 - one per process, on purpose


def _qualified_name(item: SafeGlobal) -> tuple[str, Any]:
    if isinstance(item, tuple):
        return item[1], item[0]
    return f"{item.__module__}.{item.__qualname__}", item


def add_safe_globals(safe_globals: list[SafeGlobal]) -> None:
    """Let `load(weights_only=True)` use these classes and functions, or (object, name) pairs."""
    _Declared.by_name = _Declared.by_name | dict(map(_qualified_name, safe_globals))


def get_safe_globals() -> list[Any]:
    """Return the classes and functions that were declared safe."""
    return list(_Declared.by_name.values())


def clear_safe_globals() -> None:
    """Forget what was declared safe."""
    _Declared.by_name = {}


@contextmanager
def safe_globals(safe_globals: list[SafeGlobal]) -> Iterator[None]:
    """Declare classes and functions safe within a block."""
    before = _Declared.by_name
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _Declared.by_name = before


def _encode(text: str, encoding: str) -> bytes:
    """How protocol 2 writes bytes; the other codecs that `codecs.encode` knows are not needed."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes are encoded as latin1, not {encoding!r}")
    return text.encode("latin1")


_BASIC: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "Counter"): Counter,
    ("builtins", "set"): set,
    ("builtins", "bytearray"): bytearray,
    ("builtins", "complex"): complex,
    ("_codecs", "encode"): _encode,
}
_OWN_ATTRIBUTES = frozenset(dir(Tensor)) | frozenset(Tensor.__annotations__)


def check_state(state: Mapping[str, Any]) -> None:
    """UnpicklingError if attributes from a file would replace what makes a Tensor work."""
    for name in state:
        if name in _OWN_ATTRIBUTES:
            raise pickle.UnpicklingError(f"the file sets the attribute {name!r} of a tensor")


def _present_name(module: str, name: str) -> tuple[str, str]:
    """Python 3's name of a global: protocol 2, which torch writes, uses those of Python 2."""
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name


def _refuse(unpickler: Any) -> None:
    raise pickle.UnpicklingError("Unsupported operand in the pickle: it makes objects unchecked")


# In Python, not C: only so can single instructions be checked before they run.
_PythonUnpickler: Any = pickle._Unpickler  # type: ignore[attr-defined, unused-ignore]


class WeightsUnpickler(_PythonUnpickler):
    """Unpickles with the allow-list; `known` adds torch's names to it, by (module, name).

    `classes`, by full name, may be made and given a state as well.
    """

    def __init__(
        self,
        stream: BinaryIO,
        known: Mapping[tuple[str, str], Any],
        persistent_load: Callable[[Any], Any],
        classes: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(stream)
        self._known = {**_BASIC, **known}
        self._declared = {**_Declared.by_name, **(classes or {})}
        allowed = [*self._known.values(), *self._declared.values()]
        self._callable_ids = {id(value) for value in allowed if callable(value)}
        self.persistent_load = persistent_load

    def find_class(self, module: str, name: str) -> Any:
        """Look a global up; UnpicklingError with torch's words if it is not allowed."""
        module, name = _present_name(module, name)
        full_name = f"{module}.{name}"
        if (module, name) in self._known:
            return self._known[module, name]
        if full_name in self._declared:
            return self._declared[full_name]
        if module.partition(".")[0] in _BLOCKED_MODULES:
            raise pickle.UnpicklingError(
                f"Trying to load unsupported GLOBAL {full_name} whose module {module} is blocked."
            )
        short = name if module == "builtins" else full_name
        raise pickle.UnpicklingError(
            f"Unsupported global: GLOBAL {short} was not an allowed global by default. Please use "
            f"`torch.serialization.add_safe_globals([{short}])` or the "
            f"`torch.serialization.safe_globals([{short}])` context manager to allowlist this "
            "global if you trust this class/function."
        )

    def _load_reduce(self) -> None:
        args = self.stack.pop()
        function = self.stack[-1]
        if id(function) not in self._callable_ids:
            raise pickle.UnpicklingError(
                f"Trying to call reduce for unrecognized function {function!r}"
            )
        self.stack[-1] = function(*args)

    def _load_newobj(self) -> None:
        args = self.stack.pop()
        cls = self.stack[-1]
        if id(cls) not in self._callable_ids or not isinstance(cls, type):
            raise pickle.UnpicklingError(
                f"Trying to create new object for unrecognized class {cls!r}"
            )
        self.stack[-1] = cls.__new__(cls, *args)

    def _load_build(self) -> None:
        state = self.stack.pop()
        instance = self.stack[-1]
        if type(instance) is OrderedDict:
            instance.__dict__.update(state)
        elif any(type(instance) is declared for declared in self._declared.values()):
            if hasattr(instance, "__setstate__"):
                instance.__setstate__(state)
            else:
                instance.__dict__.update(state)
        else:
            raise pickle.UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted via "
                f"`add_safe_globals`, but got {type(instance)}"
            )

    dispatch = {  # noqa: RUF012 - the table that the base class reads
        **_PythonUnpickler.dispatch,
        **{getattr(pickle, name)[0]: _refuse for name in _REFUSED},
        pickle.REDUCE[0]: _load_reduce,
        pickle.NEWOBJ[0]: _load_newobj,
        pickle.BUILD[0]: _load_build,
    }
