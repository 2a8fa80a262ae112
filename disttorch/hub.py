"""`disttorch.hub`: nothing is downloaded; each name says what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

_INSTEAD = {
    **dict.fromkeys(("load", "list", "help"), "clone the repository and import its model"),
    **dict.fromkeys(
        ("load_state_dict_from_url", "download_url_to_file"),
        "download the file yourself and read it with torch.load",
    ),
}


def _refusing(name: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **keywords: Any) -> NoReturn:
        raise RuntimeError(f"torch.hub.{name}: disttorch downloads nothing; {instead}")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"Raise RuntimeError: {instead}."
    return refuse


globals().update({name: _refusing(name, instead) for name, instead in _INSTEAD.items()})
