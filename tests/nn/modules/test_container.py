"""Sequential, ModuleList, ModuleDict: as torch over a table of operations."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import disttorch
from disttorch import nn


def sequential(nn):
    return nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())


def listed(nn):
    return nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.Sigmoid()])


def named(nn):
    return nn.ModuleDict({"b": nn.ReLU(), "a": nn.Tanh()})


def changed(change):
    """Make an operation that changes a container a function of it that returns it."""

    def run(container, nn):
        change(container, nn)
        return container

    return run


OPERATIONS = {
    "slice": (sequential, lambda c, nn: c[1:]),
    "negative": (sequential, lambda c, nn: c[-1]),
    "named": (sequential, lambda c, nn: nn.Sequential(OrderedDict(x=c[0], y=c[1]))[1:]),
    "len": (sequential, lambda c, nn: len(c)),
    "append": (sequential, lambda c, nn: c.append(nn.ELU())),
    "insert": (sequential, lambda c, nn: c.insert(-1, nn.ELU())),
    "extend": (sequential, lambda c, nn: c.extend([nn.ELU(), nn.CELU()])),
    "pop": (sequential, lambda c, nn: (c.pop(1), c)),
    "pop slice": (sequential, lambda c, nn: (c.pop(slice(0, 2)), c)),
    "delete": (sequential, changed(lambda c, nn: c.__delitem__(0))),
    "delete slice": (sequential, changed(lambda c, nn: c.__delitem__(slice(1, None)))),
    "set": (sequential, changed(lambda c, nn: c.__setitem__(-2, nn.ELU()))),
    "add": (sequential, lambda c, nn: c + nn.Sequential(nn.ELU())),
    "iadd": (sequential, lambda c, nn: c.__iadd__(nn.Sequential(nn.ELU()))),
    "mul": (sequential, lambda c, nn: 2 * c),
    "imul": (sequential, lambda c, nn: c.__imul__(2)),
    "out of range": (sequential, lambda c, nn: c[3]),
    "insert out of range": (sequential, lambda c, nn: c.insert(5, nn.ELU())),
    "add a list": (sequential, lambda c, nn: c.__add__([nn.ELU()])),
    "times zero": (sequential, lambda c, nn: [str(0 * c)]),
    "times text": (sequential, lambda c, nn: c.__mul__(1.5)),
    "list slice": (listed, lambda c, nn: c[:2]),
    "list insert": (listed, changed(lambda c, nn: c.insert(1, nn.ELU()))),
    "list append": (listed, lambda c, nn: c.append(nn.ELU())),
    "list pop": (listed, lambda c, nn: (c.pop(-1), c)),
    "list add": (listed, lambda c, nn: c.__add__([nn.ELU()])),
    "list iadd": (listed, lambda c, nn: c.__iadd__([nn.ELU()])),
    "list extend": (listed, lambda c, nn: c.extend(3)),
    "list delete": (listed, changed(lambda c, nn: c.__delitem__(1))),
    "list set": (listed, changed(lambda c, nn: c.__setitem__(1, nn.ELU()))),
    "list range": (listed, lambda c, nn: c[-4]),
    "list empty": (listed, lambda c, nn: nn.ModuleList()),
    "list runs": (
        listed,
        lambda c, nn: nn.ModuleList(
            [*(nn.ReLU() for _ in range(3)), nn.Tanh(), *(nn.Sequential(nn.ELU()),) * 2]
        ),
    ),
    "dict keys": (named, lambda c, nn: [*c, *c.keys(), "a" in c, len(c)]),
    "dict values": (named, lambda c, nn: [*c.values(), *c.items()]),
    "dict pop": (named, lambda c, nn: (c.pop("b"), c)),
    "dict set": (named, changed(lambda c, nn: c.__setitem__("c", nn.ELU()))),
    "dict delete": (named, changed(lambda c, nn: c.__delitem__("a"))),
    "dict clear": (named, changed(lambda c, nn: c.clear())),
    "dict update": (named, changed(lambda c, nn: c.update([("z", nn.ELU()), ("b", nn.CELU())]))),
    "dict number": (named, lambda c, nn: c.update(3)),
    "dict triple": (named, lambda c, nn: c.update([(1, 2, 3)])),
    "dict no pair": (named, lambda c, nn: c.update([3])),
}


def outcome(library, name):
    make, operation = OPERATIONS[name]
    try:
        result = operation(make(library.nn), library.nn)
    except (AssertionError, IndexError, TypeError, ValueError, KeyError) as error:
        text = str(error).replace(library.nn.Sequential.__module__, "nn")
        return type(error), text.replace("<class 'list'>", "list")
    return repr(result)


@pytest.mark.parity
@pytest.mark.parametrize("name", OPERATIONS)
def test_as_torch(name, torch):
    assert outcome(disttorch, name) == outcome(torch, name)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("slice", "Sequential(\n  (1): Tanh()\n  (2): Sigmoid()\n)"),
        (
            "insert",
            "Sequential(\n  (0): ReLU()\n  (1): Tanh()\n  (2): ELU(alpha=1.0)\n  (3): Sigmoid()\n)",
        ),
        ("pop", "(Tanh(), Sequential(\n  (0): ReLU()\n  (1): Sigmoid()\n))"),
        ("out of range", (IndexError, "index 3 is out of range")),
        (
            "list runs",
            "ModuleList(\n  (0-2): 3 x ReLU()\n  (3): Tanh()\n  (4-5): 2 x Sequential(\n"
            "    (0): ELU(alpha=1.0)\n  )\n)",
        ),
        ("dict pop", "(ReLU(), ModuleDict(\n  (a): Tanh()\n))"),
    ],
)
def test_outcome(name, want):
    assert outcome(disttorch, name) == want


def test_sequential_calls_in_order():
    net = nn.Sequential(nn.Flatten(), nn.Threshold(0.5, -1.0), nn.ReLU())
    assert net(disttorch.tensor([[[1.0, 0.2]]])).tolist() == [[1.0, 0.0]]


def test_children_are_registered():
    net = nn.Module()
    net.layers = nn.ModuleList([nn.Linear(1, 1)])
    net.named = nn.ModuleDict({"x": nn.Linear(1, 1)})
    assert [name for name, _ in net.named_parameters()] == [
        *("layers.0.weight", "layers.0.bias", "named.x.weight", "named.x.bias")
    ]
