"""nn.init: programs that give the same in PyTorch and here."""

import pytest

from tests.parity.programs import check, refused

pytest.importorskip("torch")

pytestmark = pytest.mark.parity

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


# ---- nn.init --------------------------------------------------------------------------------


@program
def initialised(t):
    init = t.nn.init
    results = []
    for fill in (
        lambda w: init.uniform_(w, -2, 3),
        lambda w: init.normal_(w, 1, 2),
        lambda w: init.trunc_normal_(w, 0.5, 2.0, -1, 3),
        lambda w: init.trunc_normal_(w, std=0.02),
        lambda w: init.constant_(w, 0.3),
        init.ones_,
        init.zeros_,
        lambda w: init.xavier_uniform_(w, gain=2.0),
        init.xavier_normal_,
        lambda w: init.kaiming_uniform_(w, a=0.2),
        lambda w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"),
        init.kaiming_normal_,
        lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="tanh"),
        init.orthogonal_,
        lambda w: init.orthogonal_(w, gain=0.5),
    ):
        for shape in ((4, 6), (6, 4), (3, 3), (4, 2, 3), (16, 3, 3, 3)):
            results.append(fill(t.empty(shape)))
    for shape in ((5, 7), (30, 20)):
        results += [init.eye_(t.empty(shape)), init.sparse_(t.empty(shape), 0.3)]
        results += [init.sparse_(t.empty(shape), 0.9, std=2.0)]
    for shape in ((4, 2, 3), (4, 4, 2, 3), (6, 2, 3, 3, 3)):
        results += [init.dirac_(t.empty(shape)), init.dirac_(t.empty(shape), groups=2)]
    return results


@program
def gains(t):
    names = "linear conv1d conv2d conv3d conv_transpose1d sigmoid tanh relu leaky_relu selu"
    gain = t.nn.init.calculate_gain
    return [
        *(gain(name) for name in names.split()),
        gain("leaky_relu", 0.3),
        refused(lambda: gain("swish"), lambda: gain("leaky_relu", "a"), lambda: gain("gelu")),
    ]


@program
def init_old_names(t):
    init = t.nn.init
    names = "uniform normal constant xavier_uniform xavier_normal kaiming_uniform kaiming_normal"
    arguments = {"constant": (2.0,)}
    w = [getattr(init, n)(t.empty(3, 3), *arguments.get(n, ())) for n in names.split()]
    return [
        *w,
        init.orthogonal(t.empty(3, 3)),
        init.eye(t.empty(2, 2)),
        init.dirac(t.empty(2, 2, 2)),
    ]


@program
def init_refused(t):
    init = t.nn.init
    return refused(
        lambda: init.xavier_uniform_(t.empty(3)),
        lambda: init.kaiming_normal_(t.empty(3)),
        lambda: init.kaiming_uniform_(t.empty(3, 3), mode="fan"),
        lambda: init.orthogonal_(t.empty(3)),
        lambda: init.eye_(t.empty(3)),
        lambda: init.dirac_(t.empty(3, 3)),
        lambda: init.dirac_(t.empty(3, 3, 3), groups=2),
        lambda: init.sparse_(t.empty(3), 0.1),
        lambda: init.kaiming_uniform_(t.empty(3, 3), nonlinearity="swish"),
    )


@program
def init_odd(t):
    init = t.nn.init
    with_mean_far = init.trunc_normal_(t.empty(4), mean=9.0)
    nothing = [init.kaiming_uniform_(t.empty(0, 3)), init.orthogonal_(t.empty(0, 3))]
    generator = t.Generator().manual_seed(3)
    return with_mean_far, nothing, init.normal_(t.empty(20), generator=generator), t.rand(3)


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    check(PROGRAMS[name])
