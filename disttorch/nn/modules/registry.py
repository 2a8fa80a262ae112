"""What a Module holds: parameters, buffers and submodules, registered through its attributes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from disttorch.autograd.node import RemovableHandle
from disttorch.nn.parameter import Buffer, Parameter
from disttorch.nn.typename import typename
from disttorch.tensor import Tensor

if TYPE_CHECKING:
    from disttorch.nn.modules.module import Module

REGISTRATION_HOOKS: dict[str, OrderedDict[int, Callable[..., Any]]] = {
    kind: OrderedDict() for kind in ("parameter", "buffer", "module")
}


def _registration_hook(kind: str) -> Callable[[Callable[..., Any]], RemovableHandle]:
    def register(hook: Callable[..., Any]) -> RemovableHandle:
        handle = RemovableHandle(REGISTRATION_HOOKS[kind])
        REGISTRATION_HOOKS[kind][handle.id] = hook
        return handle

    register.__name__ = f"register_module_{kind}_registration_hook"
    register.__doc__ = (
        f"Call ``hook(module, name, {kind})`` for every {kind} that any module registers; "
        "what it returns, unless None, is registered instead."
    )
    return register


register_module_parameter_registration_hook = _registration_hook("parameter")
register_module_buffer_registration_hook = _registration_hook("buffer")
register_module_module_registration_hook = _registration_hook("module")


def _after_hooks(kind: str, module: Any, name: str, value: Any) -> Any:
    for hook in REGISTRATION_HOOKS[kind].values():
        replacement = hook(module, name, value)
        value = value if replacement is None else replacement
    return value


class Registry:
    """Base of Module: attribute access that sorts values into parameters, buffers, submodules."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]

    def _init_registry(self) -> None:
        """Make the registers; ordinary attribute assignment needs them, hence `__dict__`."""
        self.__dict__.update(
            _parameters={},
            _buffers={},
            _non_persistent_buffers_set=set(),
            _modules={},
        )

    # ---- registering by name ----------------------------------------------------------------

    def _check_name(self, kind: str, name: Any, register: str) -> None:
        """Raise PyTorch's error for a name under which nothing can be registered."""
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
        if "." in name:
            raise KeyError(
                f'{kind} name can\'t contain "."' + (f", got: {name}" if kind == "module" else "")
            )
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in self.__dict__[register]:
            raise KeyError(f"attribute '{name}' already exists")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is no parameter; in the state_dict if `persistent`.

        Raises KeyError for a bad or taken name, TypeError for a value that is no tensor.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{typename(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        self._buffers[name] = _after_hooks("buffer", self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None to reserve its place.

        Raises KeyError for a bad or taken name, TypeError for a value that is no parameter,
        ValueError for a tensor that operations made.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name("parameter", name, "_parameters")
        if param is None:
            self._parameters[name] = None
            return
        if not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{typename(param)}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        if param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be "
                f"created explicitly. To express '{name}' as a function of another Tensor, compute "
                "the value in the forward() method."
            )
        self._parameters[name] = _after_hooks("parameter", self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule; TypeError for a value that is no module, KeyError for a bad name."""
        if module is not None and not isinstance(module, Registry):
            raise TypeError(f"{typename(module)} is not a Module subclass")
        self._check_name("module", name, "_modules")
        self._modules[name] = _after_hooks("module", self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """Alias of `add_module`."""
        self.add_module(name, module)

    # ---- attributes -------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        # Called only when ordinary lookup failed, which is the case for everything registered.
        registers = self.__dict__
        for register in ("_parameters", "_buffers", "_modules"):
            held = registers.get(register)
            if held is not None and name in held:
                return held[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        params = own.get("_parameters")
        if isinstance(value, Parameter):
            if params is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, keep="_parameters")
            self.register_parameter(name, value)
        elif params is not None and name in params:
            if value is not None:
                _refuse(value, f"parameter '{name}' (torch.nn.Parameter or None expected)")
            self.register_parameter(name, None)
        elif isinstance(value, Registry):
            if own.get("_modules") is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, keep="_modules")
            own["_modules"][name] = _after_hooks("module", self, name, value)
        elif own.get("_modules") is not None and name in own["_modules"]:
            if value is not None:
                _refuse(value, f"child module '{name}' (torch.nn.Module or None expected)")
            own["_modules"][name] = _after_hooks("module", self, name, None)
        else:
            self._set_buffer_or_plain(name, value)

    def _set_buffer_or_plain(self, name: str, value: Any) -> None:
        """Assign what is neither a parameter nor a module."""
        buffers = self.__dict__.get("_buffers")
        known = buffers is not None and name in buffers
        if not known and not isinstance(value, Buffer):
            object.__setattr__(self, name, value)
            return
        if value is not None and not isinstance(value, Tensor):
            _refuse(value, f"buffer '{name}' (torch.nn.Buffer, torch.Tensor or None expected)")
        if isinstance(value, Buffer):
            if buffers is None:
                raise AttributeError("cannot assign buffer before Module.__init__() call")
            self._forget(name, keep="_buffers")
            self.register_buffer(name, value, value.persistent)  # type: ignore[attr-defined]
        else:
            buffers[name] = _after_hooks("buffer", self, name, value)  # type: ignore[index]

    def _forget(self, name: str, keep: str) -> None:
        """Remove `name` from everywhere but the register `keep`, where it is about to go."""
        own = self.__dict__
        own.pop(name, None)
        for register in ("_parameters", "_buffers", "_modules"):
            if register != keep:
                own[register].pop(name, None)
        if keep != "_buffers":
            own["_non_persistent_buffers_set"].discard(name)

    def __delattr__(self, name: str) -> None:
        for register in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__[register]:
                del self.__dict__[register][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules}
        # Children of a Sequential are named "0", "1"...: no attribute can be completed from that.
        return sorted(name for name in {*names, *self._buffers} if not name[0].isdigit())

    # ---- walking ----------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield (dotted name, module) for this module and all below it, parents first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self  # type: ignore[misc]
        for name, module in self._modules.items():
            if module is not None:
                below = prefix + ("." if prefix else "") + name
                yield from module.named_modules(memo, below, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """Yield this module and all below it, each once unless told otherwise."""
        named = self.named_modules(remove_duplicate=remove_duplicate)
        return (module for _, module in named)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) for the direct submodules, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield the direct submodules, each once."""
        return (module for _, module in self.named_children())

    def _named_members(
        self,
        get_members: Callable[[Any], Iterable[tuple[str, Any]]],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        """Yield what `get_members` finds in each module, under its dotted name."""
        seen = set()
        modules: Iterable[tuple[str, Any]] = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for module_prefix, module in modules:
            for name, member in get_members(module):
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield module_prefix + ("." if module_prefix else "") + name, member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, parameter), shared ones once unless told otherwise."""
        return self._named_members(
            lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, each once; only this module's own unless `recurse`."""
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, buffer), shared ones once unless told otherwise."""
        return self._named_members(
            lambda module: module._buffers.items(), prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers, each once; only this module's own unless `recurse`."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    # ---- by dotted name ---------------------------------------------------------------------

    def get_submodule(self, target: str) -> Module:
        """Return the module with a dotted name, self for ""; AttributeError if there is none."""
        module: Any = self
        for name in target.split(".") if target else ():
            module = _member(module, name, Registry, "an nn.Module")
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at a dotted name, which with `strict` must exist already.

        Raises ValueError for an empty name or no module, AttributeError for a path that is none.
        """
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Registry):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        parent_name, _, name = target.rpartition(".")
        parent = self.get_submodule(parent_name)
        if strict or hasattr(parent, name):
            _member(parent, name, Registry, "an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter with a dotted name; AttributeError if there is none."""
        module_name, _, name = target.rpartition(".")
        found: Parameter = _member(
            self.get_submodule(module_name), name, Parameter, "an nn.Parameter"
        )
        return found

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer with a dotted name; AttributeError if there is none."""
        module_name, _, name = target.rpartition(".")
        module = self.get_submodule(module_name)
        found: Tensor = _member(module, name, object, "a buffer")
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return found


def _refuse(value: Any, place: str) -> NoReturn:
    raise TypeError(f"cannot assign '{typename(value)}' as {place}")


def _member(module: Any, name: str, kind: type, kind_name: str) -> Any:
    """Return attribute `name` if it is a `kind`; else PyTorch's AttributeError."""
    if not hasattr(module, name):
        raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
    found = getattr(module, name)
    if not isinstance(found, kind):
        raise AttributeError(f"`{name}` is not {kind_name}")
    return found
