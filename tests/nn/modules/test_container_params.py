"""ParameterList and ParameterDict: as torch over a table of operations."""

from __future__ import annotations

import pytest

import disttorch
from disttorch import nn


def listed(library):
    nn = library.nn
    return nn.ParameterList([library.ones(2, 3), nn.Parameter(library.zeros(1)), 3])


def named(library):
    nn = library.nn
    return nn.ParameterDict({"b": library.ones(2), "a": nn.Parameter(library.zeros(1)), "c": "x"})


def changed(change):
    def run(container, library):
        change(container, library)
        return container

    return run


OPERATIONS = {
    "list": (listed, lambda c, t: c),
    "empty list": (listed, lambda c, t: t.nn.ParameterList()),
    "list slice": (listed, lambda c, t: c[:2]),
    "list negative": (listed, lambda c, t: c[-1]),
    "list range": (listed, lambda c, t: c[3]),
    "list set": (listed, changed(lambda c, t: c.__setitem__(0, t.ones(4)))),
    "list append": (listed, lambda c, t: c.append(t.ones(4))),
    "list iadd": (listed, lambda c, t: c.__iadd__([t.ones(4)])),
    "list of a tensor": (listed, lambda c, t: c.extend(t.ones(4))),
    "list call": (listed, lambda c, t: c(1)),
    "list state": (listed, lambda c, t: [*c.state_dict(), len(c)]),
    "dict": (named, lambda c, t: c),
    "dict order": (named, lambda c, t: [list(c), list(reversed(c)), len(c)]),
    "dict number": (named, lambda c, t: c[3]),
    "dict pop": (named, lambda c, t: (c.pop("c"), c)),
    "dict popitem": (named, lambda c, t: (c.popitem(), c)),
    "dict get": (named, lambda c, t: (c.get("c"), c.get("d", 5), "a" in c)),
    "dict setdefault": (named, lambda c, t: (c.setdefault("d", 5), c.setdefault("c", 6), c)),
    "dict delete": (named, changed(lambda c, t: c.__delitem__("a"))),
    "dict clear": (named, changed(lambda c, t: c.clear())),
    "dict update": (named, changed(lambda c, t: c.update({"z": 1, "y": t.ones(1)}))),
    "dict pairs": (named, changed(lambda c, t: c.update([("z", 1), ("y", 2)]))),
    "dict bad pairs": (named, lambda c, t: c.update([(1, 2, 3)])),
    "dict no iterable": (named, lambda c, t: c.update(3)),
    "dict or": (named, lambda c, t: c | t.nn.ParameterDict({"b": 1, "n": 2})),
    "dict ior": (named, lambda c, t: c.__ior__(t.nn.ParameterDict({"n": 2}))),
    "dict copy": (named, lambda c, t: c.copy()),
    "dict fromkeys": (named, lambda c, t: c.fromkeys(["x", "y"], 4)),
    "dict call": (named, lambda c, t: c(1)),
    "dict state": (named, lambda c, t: [*c.state_dict(), *c.keys(), len(list(c.values()))]),
}


def outcome(library, name):
    make, operation = OPERATIONS[name]
    try:
        return repr(operation(make(library), library))
    except (IndexError, TypeError, ValueError, RuntimeError) as error:
        return type(error), str(error)


@pytest.mark.parity
@pytest.mark.parametrize("name", OPERATIONS)
def test_as_torch(name, torch):
    assert outcome(disttorch, name) == outcome(torch, name)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        (
            "list",
            "ParameterList(\n    (0): Parameter containing: [torch.float32 of size 2x3]\n"
            "    (1): Parameter containing: [torch.float32 of size 1]\n"
            "    (2): Object of type: int\n)",
        ),
        ("list call", (RuntimeError, "ParameterList should not be called.")),
        ("dict order", "[['a', 'b', 'c'], ['c', 'b', 'a'], 3]"),
        ("dict state", "['a', 'b', 'a', 'b', 'c', 3]"),
    ],
)
def test_outcome(name, want):
    assert outcome(disttorch, name) == want


def test_plain_tensors_become_parameters():
    assert len(list(listed(disttorch).parameters())) == 2
    assert isinstance(named(disttorch)["b"], nn.Parameter)
