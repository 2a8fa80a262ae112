"""What is not there says so, and what asks for a compiler gets its own function back."""

from __future__ import annotations

import pytest

import disttorch as torch
from disttorch import nn


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: torch.jit.script(nn.ReLU()), "torch.jit.script of a module: there is no"),
        (lambda: torch.jit.trace(nn.ReLU(), torch.ones(1)), "torch.jit.trace: there is no"),
        (lambda: torch.jit.load("m.pt"), "torch.jit.load: .* state_dict"),
        (lambda: torch.onnx.export(nn.ReLU(), torch.ones(1), "m.onnx"), "export it there"),
        (lambda: torch.hub.load("a/b", "c"), "clone the repository"),
        (lambda: torch.hub.load_state_dict_from_url("https://x"), "read it with torch.load"),
    ],
)
def test_exports_and_downloads_are_refused_with_a_way_out(call, text):
    with pytest.raises(RuntimeError, match=text):
        call()


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    "through",
    [
        torch.compile,
        torch.compile(mode="reduce-overhead"),
        torch.compiler.disable,
        torch.compiler.disable(recursive=False),
        torch.compiler.allow_in_graph,
        torch.jit.script,
        torch.jit.ignore,
        torch.jit.unused,
        torch.jit.export,
        torch.jit.script_if_tracing,
    ],
)
def test_functions_pass_unchanged(through):
    assert through(double) is double


def test_a_compiled_module_is_the_module():
    model = nn.Linear(2, 2)
    assert torch.compile(model, fullgraph=True, dynamic=False) is model


@pytest.mark.parametrize("name", ["benchmark", "deterministic", "allow_tf32", "enabled"])
def test_cudnn_switches_are_kept(name):
    # Not among the expressions: PyTorch's own test data forbids PyTorch to set them.
    cudnn = torch.backends.cudnn
    before = getattr(cudnn, name)
    try:
        setattr(cudnn, name, not before)
        assert getattr(cudnn, name) is (not before)
    finally:
        setattr(cudnn, name, before)


def test_switches_are_set_back_after_a_block():
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark
    with cudnn.flags(enabled=True, benchmark=not before):
        assert cudnn.benchmark is not before
    assert cudnn.benchmark is before


def test_a_profile_by_its_older_name():
    with torch.autograd.profiler.profile() as profile:
        torch.ones(2) + 1
    assert profile.key_averages()
