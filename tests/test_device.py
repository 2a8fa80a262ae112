"""Devices: spelling, comparison, the default, errors."""

import copy
import pickle
import threading

import pytest

import disttorch as torch

SPELLINGS = (
    (("cpu",), "cpu", "device(type='cpu')"),
    (("cuda",), "cuda", "device(type='cuda')"),
    (("cuda:1",), "cuda:1", "device(type='cuda', index=1)"),
    (("cuda", 0), "cuda:0", "device(type='cuda', index=0)"),
    ((torch.device("cuda:2"),), "cuda:2", "device(type='cuda', index=2)"),
)


@pytest.mark.parametrize(("given", "text", "shown"), SPELLINGS)
def test_spellings(given, text, shown):
    device = torch.device(*given)
    assert (str(device), repr(device)) == (text, shown)
    assert device == torch.device(text) and hash(device) == hash(torch.device(text))
    assert copy.deepcopy(device) == pickle.loads(pickle.dumps(device)) == device


def test_an_index_makes_a_device_another_one():
    assert torch.device("cuda") != torch.device("cuda:0")
    assert torch.device("cpu") != "cpu"


ERRORS = (
    (("",), RuntimeError, "Device string must not be empty"),
    (("cuda:01",), RuntimeError, "Invalid device string: 'cuda:01'"),
    (("cuda:-1",), RuntimeError, "Invalid device string: 'cuda:-1'"),
    (("cuda:a",), RuntimeError, "Invalid device string: 'cuda:a'"),
    (("cpu", -1), RuntimeError, "Device index must not be negative"),
    (
        ("CUDA",),
        RuntimeError,
        "Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, "
        "xla, lazy, vulkan, mps, meta, hpu, mtia, privateuseone device type at start of device "
        "string: CUDA",
    ),
    (
        ("cpu:0", 0),
        RuntimeError,
        "type (string) must not include an index because index was passed explicitly: cpu:0",
    ),
    (
        (3.5,),
        TypeError,
        "device(): argument 'type' must be str, int or torch.device, not float",
    ),
)


@pytest.mark.parametrize(("given", "error", "text"), ERRORS)
def test_errors(given, error, text):
    with pytest.raises(error) as caught:
        torch.device(*given)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "make",
    (
        lambda: torch.ones(2, device="cuda"),
        lambda: torch.ones(2).to("cuda:0"),
        lambda: torch.ones(2).cuda(),
        lambda: torch.nn.Linear(2, 2).to("cuda"),
    ),
)
def test_without_a_cuda_backend_pytorchs_error_says_so(make):
    with pytest.raises(AssertionError, match=r"^Torch not compiled with CUDA enabled$"):
        make()


def test_a_device_as_a_context_is_the_default_of_new_tensors():
    assert torch.get_default_device() == torch.device("cpu")
    with torch.device("cuda:1") as entered:
        assert torch.get_default_device() == entered
        with pytest.raises(AssertionError):
            torch.ones(2)
        assert torch.ones(2, device="cpu").device.type == "cpu"
        with torch.device("cpu"):
            assert torch.ones(2).device.type == "cpu"
        seen = []
        thread = threading.Thread(target=lambda: seen.append(torch.get_default_device()))
        thread.start()
        thread.join()
        assert seen == [torch.device("cpu")], "another thread has a default of its own"
    assert torch.get_default_device() == torch.device("cpu")


def test_set_default_device():
    torch.set_default_device("cuda")
    try:
        with pytest.raises(AssertionError):
            torch.zeros(1)
    finally:
        torch.set_default_device(None)
    assert torch.zeros(1).device == torch.device("cpu")
