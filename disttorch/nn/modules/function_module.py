"""Modules that are one function of `nn.functional` and its settings, declared as rows of a table.

    class LeakyReLU(FunctionModule):
        '''x where positive, else negative_slope * x.'''

        function = "leaky_relu"
        settings = defaults(negative_slope=0.01, inplace=False)

The class gets a constructor with these settings as arguments (in this order, with these defaults),
keeps them as attributes, hands them to the function, and prints them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from disttorch.nn import functional
from disttorch.nn.modules.module import Module

REQUIRED: Any = inspect.Parameter.empty  # in place of a setting's default


def defaults(**settings: Any) -> Mapping[str, Any]:
    """Return settings and their defaults, in order, for a class to declare."""
    return MappingProxyType(settings)


class FunctionModule(Module):
    """Base of modules without parameters.

    What a subclass may say, besides the function's name and the settings:

    * `not_passed`: settings that the function does not take.
    * `passes_training`: whether the function has an argument `training`.
    * `hidden`: settings that the repr leaves out; `inplace` shows only when it is set.
    * `bare`: whether the repr shows values without names.
    """

    function: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = defaults()
    keyword_only: ClassVar[bool] = False
    not_passed: ClassVar[tuple[str, ...]] = ()
    passes_training: ClassVar[bool] = False
    hidden: ClassVar[tuple[str, ...]] = ()
    bare: ClassVar[bool] = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "__init__" in vars(cls):
            cls.__signature__ = None  # type: ignore[attr-defined]
            return
        kind = (
            inspect.Parameter.KEYWORD_ONLY
            if cls.keyword_only
            else (inspect.Parameter.POSITIONAL_OR_KEYWORD)
        )
        cls._constructor = inspect.Signature(
            [inspect.Parameter(name, kind, default=d) for name, d in cls.settings.items()]
        )
        cls.__signature__ = cls._constructor  # type: ignore[attr-defined]

    _constructor: ClassVar[inspect.Signature]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        try:
            bound = self._constructor.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}.__init__() {error}") from None
        bound.apply_defaults()
        self.configure(bound.arguments)

    def configure(self, values: dict[str, Any]) -> None:
        """Check the settings and keep them as attributes."""
        for name, value in values.items():
            setattr(self, name, value)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Apply the function to the inputs."""
        for name in self.settings:
            if name not in self.not_passed:
                named[name] = getattr(self, name)
        if self.passes_training:
            named["training"] = self.training
        return getattr(functional, self.function)(*inputs, **named)

    def extra_repr(self) -> str:
        """Return the settings."""
        shown = [name for name in self.settings if name not in self.hidden]
        if self.bare:
            return ", ".join(str(getattr(self, name)) for name in shown)
        return ", ".join(
            f"{name}={getattr(self, name)!r}" for name in shown if name != "inplace" or self.inplace
        )
