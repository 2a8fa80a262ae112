"""What attributes of a module become, how they are found again, and what is refused."""

from __future__ import annotations

import pytest

import disttorch
from disttorch import nn
from disttorch.nn.modules import module as hooks


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(disttorch.ones(2))
        self.register_buffer("b", disttorch.zeros(1))
        self.register_buffer("t", disttorch.zeros(1), persistent=False)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Inner()
        self.second = self.first
        self.last = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
        self.none = None
        self.register_parameter("unused", None)
        self.plain = 3


class Uninitialised(nn.Module):
    def __init__(self, name, value):
        setattr(self, name, value)


def names(pairs):
    return [name for name, _ in pairs]


def test_named():
    net = Net()
    assert names(net.named_parameters()) == ["first.w", "last.0.weight", "last.0.bias"]
    assert names(net.named_parameters("x", remove_duplicate=False))[:2] == [
        "x.first.w",
        "x.second.w",
    ]
    assert names(net.named_parameters(recurse=False)) == []
    assert names(net.named_buffers()) == ["first.b", "first.t"]
    assert names(net.named_children()) == ["first", "last"]
    assert names(net.named_modules()) == ["", "first", "last", "last.0", "last.1"]
    assert names(net.named_modules(prefix="n", remove_duplicate=False))[1:3] == [
        "n.first",
        "n.second",
    ]
    assert next(net.modules()) is net
    assert [type(m) for m in net.children()] == [Inner, nn.Sequential]
    assert len(list(net.parameters())) == 3
    assert len(list(net.buffers())) == 2


def test_attributes_move_between_registers():
    m = Inner()
    del m.b
    m.b = nn.Parameter(disttorch.ones(1))
    assert "b" in m._parameters
    m.b = None
    assert m.b is None
    del m.b
    m.b = nn.ReLU()
    assert names(m.named_children()) == ["b"]
    m.w = None
    m.c = 3
    m.c = nn.Parameter(disttorch.ones(1))
    assert "c" not in vars(m)
    m.d = nn.Buffer(disttorch.ones(1), persistent=False)
    assert "d" in m._non_persistent_buffers_set
    m.d = disttorch.zeros(2)
    assert m._buffers["d"].shape == (2,)


def test_dir_lists_what_is_registered():
    listed = dir(Net())
    assert {"first", "last", "unused", "plain", "forward"} <= set(listed)
    assert "0" not in dir(nn.Sequential(nn.ReLU()))


def test_get_and_set_submodule():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("last.0") is net.last[0]
    assert net.get_parameter("last.0.bias") is net.last[0].bias
    assert net.get_buffer("first.b") is net.first.b
    net.set_submodule("last.0", nn.Identity())
    assert isinstance(net.last[0], nn.Identity)
    net.set_submodule("first.new", nn.ReLU())
    assert isinstance(net.first.new, nn.ReLU)


def refused():
    m, net, p = Inner(), Net(), nn.Parameter(disttorch.ones(1))
    bad_parameter = "cannot assign 'int' as parameter 'w' (torch.nn.Parameter or None expected)"
    tensor_as_parameter = bad_parameter.replace("int", "torch.FloatTensor")
    return {
        "read": (lambda: m.x, AttributeError, "'Inner' object has no attribute 'x'"),
        "delete": (lambda: delattr(m, "x"), AttributeError, None),
        "number as parameter": (lambda: setattr(m, "w", 3), TypeError, bad_parameter),
        "tensor as parameter": (
            lambda: setattr(m, "w", disttorch.ones(1)),
            TypeError,
            tensor_as_parameter,
        ),
        "number as buffer": (
            lambda: setattr(m, "b", 3),
            TypeError,
            "cannot assign 'int' as buffer 'b' (torch.nn.Buffer, torch.Tensor or None expected)",
        ),
        "number as module": (
            lambda: setattr(net, "last", 3),
            TypeError,
            "cannot assign 'int' as child module 'last' (torch.nn.Module or None expected)",
        ),
        "parameter before init": (
            lambda: Uninitialised("x", p),
            AttributeError,
            "cannot assign parameters before Module.__init__() call",
        ),
        "module before init": (
            lambda: Uninitialised("x", m),
            AttributeError,
            "cannot assign module before Module.__init__() call",
        ),
        "buffer before init": (
            lambda: Uninitialised("x", nn.Buffer(disttorch.ones(1))),
            AttributeError,
            "cannot assign buffer before Module.__init__() call",
        ),
        "parameter name": (
            lambda: m.register_parameter("a.b", p),
            KeyError,
            'parameter name can\'t contain "."',
        ),
        "empty name": (
            lambda: m.register_buffer("", None),
            KeyError,
            'buffer name can\'t be empty string ""',
        ),
        "number as name": (
            lambda: m.register_buffer(3, None),
            TypeError,
            "buffer name should be a string. Got int",
        ),
        "name taken": (
            lambda: m.register_parameter("forward", p),
            KeyError,
            "attribute 'forward' already exists",
        ),
        "module name": (
            lambda: m.add_module("a.b", net),
            KeyError,
            'module name can\'t contain ".", got: a.b',
        ),
        "no module": (
            lambda: m.add_module("a", 3),
            TypeError,
            "int is not a Module subclass",
        ),
        "no parameter": (
            lambda: m.register_parameter("a", disttorch.ones(1)),
            TypeError,
            "cannot assign 'torch.FloatTensor' object to parameter 'a' (torch.nn.Parameter or None"
            " required)",
        ),
        "no buffer": (
            lambda: m.register_buffer("a", 3),
            TypeError,
            "cannot assign 'int' object to buffer 'a' (torch Tensor or None required)",
        ),
        "no submodule": (
            lambda: net.get_submodule("last.7"),
            AttributeError,
            "Sequential has no attribute `7`",
        ),
        "attribute is no module": (
            lambda: net.get_submodule("plain"),
            AttributeError,
            "`plain` is not an nn.Module",
        ),
        "attribute is no parameter": (
            lambda: net.get_parameter("plain"),
            AttributeError,
            "`plain` is not an nn.Parameter",
        ),
        "attribute is no buffer": (
            lambda: net.get_buffer("plain"),
            AttributeError,
            "`plain` is not a buffer",
        ),
        "set nowhere": (
            lambda: net.set_submodule("", m),
            ValueError,
            "Cannot set the submodule without a target name!",
        ),
        "set strictly": (
            lambda: net.set_submodule("new", m, strict=True),
            AttributeError,
            "Net has no attribute `new`",
        ),
    }


@pytest.mark.parametrize("case", refused())
def test_refused(case):
    call, kind, text = refused()[case]
    with pytest.raises(kind) as raised:
        call()
    assert text is None or raised.value.args[0] == text


def test_registration_hooks():
    seen = []
    handles = [
        hooks.register_module_parameter_registration_hook(lambda m, n, p: seen.append(n)),
        hooks.register_module_buffer_registration_hook(lambda m, n, b: seen.append(n)),
        hooks.register_module_module_registration_hook(lambda m, n, c: seen.append(n)),
    ]
    holder = nn.Module()
    holder.inner = Inner()
    for handle in handles:
        handle.remove()
    holder.more = Inner()
    assert seen == ["w", "b", "t", "inner"]
