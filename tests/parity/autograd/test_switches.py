"""Inference mode, anomaly mode, decorators and generators, under PyTorch and here."""

from __future__ import annotations

import warnings

import pytest

from tests.parity.autograd.harness import Programs, errors, leaf, normal

pytestmark = pytest.mark.parity
program = Programs()


@program
def inference_tensors_are_marked(t):
    x = leaf(t, 1, 2)
    plain = t.ones(2)
    with t.inference_mode():
        made = t.ones(2)
        computed = x * 2
        view_of_plain = plain.view(2, 1)
        view_of_made = made.view(2, 1)
        inside = (made.is_inference(), computed.is_inference(), x.is_inference())
        written = plain.add_(1).is_inference()
        tensor = t.tensor([1.0])
        clone = made.clone()
    return (
        inside,
        written,
        [v.is_inference() for v in (made, computed, view_of_plain, view_of_made, tensor, clone)],
        made.clone().is_inference(),
        made.view(1, 2).is_inference(),
        (made * 2).is_inference(),
        made.detach().is_inference(),
        t.is_inference(made),
        made.requires_grad,
        computed.requires_grad,
        computed.is_leaf,
    )


@program
def inference_tensors_are_guarded(t):
    x = leaf(t, 1, 2)
    with t.inference_mode():
        made = t.ones(2, dtype=t.float64)
        made.add_(1)
        versions = errors(lambda: made._version)
    return versions, errors(
        lambda: made.add_(1),
        lambda: made.mul_(2),
        made.zero_,
        lambda: made.copy_(t.ones(2, dtype=t.float64)),
        made.requires_grad_,
        lambda: setattr(made, "requires_grad", True),
        lambda: made._version,
        lambda: (x * made).sum().backward(),
        lambda: (made * x).sum().backward(),
        lambda: (x + made).sum().backward(),
        lambda: (x * made.clone()).sum().backward(),
        lambda: made.view(2, 1).add_(1),
        made.backward,
        lambda: made.requires_grad_(False),
        lambda: made.sum().item(),
    )


@program
def inference_mode_forms(t):
    x = leaf(t, 1, 2)
    seen = []

    @t.inference_mode()
    def decorated():
        return (x * 2).requires_grad, t.is_grad_enabled()

    @t.inference_mode
    def bare():
        return (x * 2).requires_grad

    with t.inference_mode(False):
        seen.append(((x * 2).requires_grad, t.is_grad_enabled()))
    with t.inference_mode():
        seen.append((t.is_inference_mode_enabled(), t.is_grad_enabled()))
        with t.enable_grad():
            seen.append(t.is_grad_enabled())
        with t.inference_mode(False):
            seen.append((t.is_inference_mode_enabled(), t.is_grad_enabled()))
    with t.no_grad():
        with t.inference_mode(False):
            seen.append(t.is_grad_enabled())
    return seen, decorated(), bare(), t.is_inference_mode_enabled()


@program
def grad_modes_in_every_form(t):
    x = leaf(t, 1, 2)
    seen = []

    @t.no_grad
    def bare():
        return (x * 2).requires_grad

    @t.enable_grad()
    def recorded():
        return (x * 2).requires_grad

    @t.set_grad_enabled(False)
    def switched():
        return (x * 2).requires_grad

    @t.no_grad()
    def numbers():
        seen.append(t.is_grad_enabled())
        got = yield 1
        seen.append((got, t.is_grad_enabled()))
        yield 2

    generator = numbers()
    next(generator)
    seen.append(t.is_grad_enabled())
    generator.send("sent")
    with t.no_grad():
        seen.append(recorded())
    seen += [bare(), switched(), t.is_grad_enabled()]
    with t.set_grad_enabled(mode=False):
        seen.append(t.is_grad_enabled())
    with t.autograd.set_grad_enabled(True), t.autograd.no_grad(), t.autograd.enable_grad():
        seen.append(t.is_grad_enabled())
    try:
        with t.no_grad():
            raise KeyError
    except KeyError:
        seen.append(t.is_grad_enabled())

    class Holder:
        @t.no_grad()
        def method(self):
            return t.is_grad_enabled()

    return seen, Holder().method(), errors(t.set_grad_enabled)


@program
def set_grad_enabled_as_a_function(t):
    t.set_grad_enabled(False)
    off = t.is_grad_enabled()
    with t.set_grad_enabled(True):
        inside = t.is_grad_enabled()
    after = t.is_grad_enabled()
    t.set_grad_enabled(True)
    return off, inside, after, t.is_grad_enabled()


@program
def anomaly_mode(t):
    x = leaf(t, -1, 1)

    class Wrong(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g * float("nan")

    class Raises(Wrong):
        @staticmethod
        def backward(ctx, g):
            raise ValueError("mine")

    def run(f, **options):
        with t.autograd.detect_anomaly(**options):
            f(x).sum().backward()

    def seen():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            failed = errors(lambda: run(Wrong.apply))
        texts = [str(w.message) for w in caught]
        return failed, [normal(text)[:60] for text in texts], "Wrong.apply" in "".join(texts)

    return (
        errors(
            lambda: run(Wrong.apply),
            lambda: run(Wrong.apply, check_nan=False),
            lambda: run(Raises.apply),
            lambda: run(lambda x: x.sqrt() * 0),
            lambda: run(lambda x: x / 0 * 0),
        ),
        seen(),
        t.is_anomaly_enabled(),
    )


@program
def anomaly_switch(t):
    seen = [t.is_anomaly_enabled()]
    with t.autograd.set_detect_anomaly(True, check_nan=False):
        seen += [t.is_anomaly_enabled(), t.is_anomaly_check_nan_enabled()]
    seen.append(t.is_anomaly_enabled())
    t.autograd.set_detect_anomaly(True)
    seen += [t.is_anomaly_enabled(), t.is_anomaly_check_nan_enabled()]
    t.autograd.set_detect_anomaly(False)
    return [*seen, t.is_anomaly_enabled()]


@program
def threads_have_their_own_switch(t):
    import threading

    seen = []
    with t.no_grad():
        thread = threading.Thread(target=lambda: seen.append(t.is_grad_enabled()))
        thread.start()
        thread.join()
    return seen


@program
def sweeps_of_two_threads(t):
    import threading

    x = leaf(t, 1, 2)
    threads = [
        threading.Thread(target=lambda k=k: (x * (k + 1)).sin().sum().backward()) for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return x.grad


@program
def version_context(t):
    x = t.ones(2)
    y = leaf(t, 1, 2) * 1
    z = y.sin()
    with t.autograd._unsafe_preserve_version_counter(y):
        y.data.mul_(1)
        with t.no_grad():
            y.mul_(1)
    z.sum().backward()
    return x._version, y._version


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
