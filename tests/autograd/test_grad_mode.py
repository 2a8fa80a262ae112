from __future__ import annotations

import threading

import pytest

import disttorch as torch


def recorded() -> bool:
    x = torch.ones(1, requires_grad=True)
    return (x * 2).requires_grad


def test_nesting():
    with torch.no_grad():
        assert not recorded()
        with torch.enable_grad():
            assert recorded()
        assert not recorded()
    assert recorded()


@pytest.mark.parametrize(
    "switch",
    [
        torch.no_grad,
        lambda: torch.no_grad,
        lambda: torch.set_grad_enabled(False),
        torch.inference_mode,
    ],
    ids=["no_grad()", "no_grad", "set_grad_enabled(False)", "inference_mode()"],
)
def test_decorators(switch):
    function = switch()(recorded)
    assert not function()
    assert not function()
    assert function.__name__ == "recorded"
    assert recorded()


def test_a_switch_is_reusable_and_reentrant():
    switch = torch.no_grad()
    with switch:
        with switch:
            assert not recorded()
        assert not recorded()
    with switch:
        assert not recorded()
    assert recorded()


def test_generators_are_switched_only_while_they_run():
    @torch.no_grad()
    def numbers():
        sent = yield recorded()
        yield sent, recorded()

    generator = numbers()
    assert next(generator) is False
    assert recorded()
    assert generator.send("message") == ("message", False)
    assert recorded()


def test_set_grad_enabled_acts_at_once():
    torch.set_grad_enabled(False)
    try:
        assert not recorded()
    finally:
        torch.set_grad_enabled(True)
    with torch.set_grad_enabled(False):
        assert not recorded()
    assert recorded()


def test_an_exception_restores_the_switch():
    with pytest.raises(KeyError), torch.no_grad():
        raise KeyError
    assert recorded()


def test_each_thread_has_its_own_switch():
    seen = []
    with torch.no_grad():
        thread = threading.Thread(target=lambda: seen.append(recorded()))
        thread.start()
        thread.join(10)
    assert seen == [True]


def test_inference_mode_is_visible():
    assert not torch.is_inference_mode_enabled()
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()
    with torch.inference_mode(False):
        assert torch.is_grad_enabled()
