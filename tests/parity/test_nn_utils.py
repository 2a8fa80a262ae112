"""nn.utils: programs that give the same in PyTorch and here."""

import copy
import pickle
import warnings

import pytest

from tests.parity.programs import check, refused, trained

pytest.importorskip("torch")

pytestmark = pytest.mark.parity

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


# ---- clipping -------------------------------------------------------------------------------


def with_grads(t, *rows, dtype="float32"):
    params = []
    for row in rows:
        p = t.nn.Parameter(t.zeros(len(row), dtype=getattr(t, dtype)))
        p.grad = t.tensor(row, dtype=p.dtype)
        params.append(p)
    return params


@program
def clip_norms(t):
    utils = t.nn.utils
    results = []
    for norm_type in (2, 1, 0.5, 3.0, float("inf"), "inf"):
        for max_norm in (0.1, 1, 100):
            params = [*with_grads(t, [3.0, -4.0], [12.0]), t.nn.Parameter(t.zeros(1))]
            results += [utils.clip_grad_norm_(params, max_norm, norm_type)]
            results += [p.grad for p in params[:2]]
    return results


@program
def clip_values(t):
    params = with_grads(t, [3.0, -4.0, 0.5, float("nan")], [float("inf")])
    t.nn.utils.clip_grad_value_(params, 1)
    return [t.nan_to_num(p.grad, 7.0) for p in params]


@program
def clip_edges(t):
    utils = t.nn.utils
    one = with_grads(t, [3.0])[0]
    bad = with_grads(t, [float("nan"), 1.0])
    return [
        utils.clip_grad_norm_([], 1.0),
        utils.clip_grad_norm_([t.nn.Parameter(t.zeros(1))], 1.0),
        utils.clip_grad_norm_(one, 1.0),
        utils.clip_grad_norm_(iter([]), 1.0),
        utils.clip_grad_norm_((p for p in []), 1.0),
        utils.clip_grad_norm((p for p in [one]), 1.0),
        utils.get_total_norm([p.grad for p in with_grads(t, [3.0], [4.0])]),
        utils.clip_grads_with_norm_(one, 0.5, t.tensor(1.0)),
        one.grad,
        refused(lambda: utils.clip_grad_norm_(bad, 1.0, error_if_nonfinite=True)),
        utils.clip_grad_norm_(bad, 1.0).isnan().item(),
    ]


@program
def vectors(t):
    model = t.nn.Sequential(t.nn.Linear(2, 3), t.nn.Linear(3, 1))
    vector = t.nn.utils.parameters_to_vector(model.parameters())
    t.nn.utils.vector_to_parameters(vector * 2, model.parameters())
    return [
        vector,
        model.state_dict(),
        refused(lambda: t.nn.utils.vector_to_parameters([1.0], model.parameters())),
    ]


# ---- weight and spectral norm ---------------------------------------------------------------


@program
def weight_norm_old(t):
    x = t.randn(4, 3)
    results = []
    for dim in (0, 1, None, -1):
        module = t.nn.utils.weight_norm(t.nn.Linear(3, 2), dim=dim)
        results += [trained(t, module, x), repr(module)]
        t.nn.utils.remove_weight_norm(module)
        results += [module.state_dict(), module(x)]
    return results


@program
def weight_norm_new(t):
    x = t.randn(4, 3)
    results = []
    for dim in (0, 1, None):
        module = t.nn.utils.parametrizations.weight_norm(t.nn.Linear(3, 2), dim=dim)
        results += [trained(t, module, x), repr(module), repr(type(module).__name__)]
        module.weight = t.ones(2, 3)
        results += [module.weight, module.state_dict()]
        t.nn.utils.parametrize.remove_parametrizations(module, "weight")
        results += [module.state_dict(), module(x)]
    return results


@program
def weight_norm_moves(t):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = t.nn.utils.weight_norm(t.nn.Conv1d(2, 3, 2))
    new = t.nn.utils.parametrizations.weight_norm(t.nn.Conv1d(2, 3, 2))
    new.load_state_dict(old.state_dict())
    return new.state_dict(), new(t.ones(1, 2, 4))


@program
def spectral_norm_old(t):
    results = []
    for module, x in (
        (t.nn.Linear(3, 4), t.randn(2, 3)),
        (t.nn.Conv2d(2, 3, 2), t.randn(1, 2, 4, 4)),
        (t.nn.ConvTranspose1d(2, 3, 2), t.randn(1, 2, 4)),
    ):
        normed = t.nn.utils.spectral_norm(module, n_power_iterations=2)
        results += [trained(t, normed, x), normed.eval()(x)]
        results += [dict(normed.state_dict()._metadata)[""]]
        t.nn.utils.remove_spectral_norm(normed)
        results += [normed.state_dict(), normed(x)]
    return results


@program
def spectral_norm_new(t):
    results = []
    for module, x in (
        (t.nn.Linear(3, 4), t.randn(2, 3)),
        (t.nn.Conv2d(2, 3, 2), t.randn(1, 2, 4, 4)),
        (t.nn.ConvTranspose1d(2, 3, 2), t.randn(1, 2, 4)),
    ):
        normed = t.nn.utils.parametrizations.spectral_norm(module)
        results += [trained(t, normed, x), normed.eval()(x), repr(normed)]
    return results


@program
def norms_refused(t):
    u, p = t.nn.utils, t.nn.utils.parametrizations
    twice = u.spectral_norm(t.nn.Linear(2, 2))
    twice_weight = u.weight_norm(t.nn.Linear(2, 2))
    return refused(
        lambda: u.spectral_norm(twice),
        lambda: u.weight_norm(twice_weight),
        lambda: u.spectral_norm(t.nn.Linear(2, 2), n_power_iterations=0),
        lambda: u.spectral_norm(t.nn.Linear(2, 2, bias=False), "bias"),
        lambda: u.spectral_norm(t.nn.LazyLinear(2)),
        lambda: u.weight_norm(t.nn.LazyLinear(2)),
        lambda: u.remove_spectral_norm(t.nn.Linear(2, 2)),
        lambda: u.remove_weight_norm(t.nn.Linear(2, 2)),
        lambda: p.spectral_norm(t.nn.Linear(2, 2), "gain"),
        lambda: p.spectral_norm(t.nn.Linear(2, 2), dim=2),
        lambda: p.spectral_norm(t.nn.Linear(2, 2), n_power_iterations=-1),
    )


# ---- orthogonal -----------------------------------------------------------------------------


@program
def orthogonal(t):
    results = []
    for shape in ((3, 3), (4, 3), (3, 4)):
        for name in ("matrix_exp", "cayley", "householder", None):
            for trivial in (True, False):
                module = t.nn.Linear(shape[1], shape[0], bias=False)
                t.nn.utils.parametrizations.orthogonal(
                    module, orthogonal_map=name, use_trivialization=trivial
                )
                results += [module.weight, repr(module)]
                module.weight.sum().backward()
                results += [p.grad for p in module.parameters()]
    return results


@program
def orthogonal_assigned(t):
    module = t.nn.utils.parametrizations.orthogonal(t.nn.Linear(3, 3))
    target = t.linalg.qr(t.randn(3, 3)).Q
    module.weight = target
    wide = t.nn.utils.parametrizations.orthogonal(
        t.nn.Linear(4, 2), orthogonal_map="householder", use_trivialization=False
    )
    wide.weight = t.eye(2, 4)
    return module.weight, wide.weight


@program
def orthogonal_refused(t):
    make = t.nn.utils.parametrizations.orthogonal
    fixed = make(t.nn.Linear(3, 3), orthogonal_map="cayley", use_trivialization=False)

    def assign(shape):
        fixed.weight = t.ones(*shape)

    return refused(
        lambda: make(t.nn.Linear(3, 3), "gain"),
        lambda: make(t.nn.Linear(3, 3), "bias"),
        lambda: make(t.nn.Linear(3, 3), orthogonal_map="givens"),
        lambda: assign((2, 3)),
        lambda: assign((3, 3)),
    )


# ---- parametrize ----------------------------------------------------------------------------


def functions(t):
    class Symmetric(t.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).T

        def right_inverse(self, x):
            return x.triu()

    class Double(t.nn.Module):
        def forward(self, x):
            return 2 * x

    class Split(t.nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x / 4, x * 3 / 4

    class Cut(t.nn.Module):
        def forward(self, x):
            return x[1:]

    class Cast(t.nn.Module):
        def forward(self, x):
            return x.double()

    class Pair(t.nn.Module):
        def forward(self, x):
            return x, x

    return {c.__name__: c for c in (Symmetric, Double, Split, Cut, Cast, Pair)}


@program
def parametrized(t):
    f, p = functions(t), t.nn.utils.parametrize
    module = t.nn.Linear(3, 3)
    p.register_parametrization(module, "weight", f["Symmetric"]())
    results = [module.weight, dict(module.named_parameters()), repr(module)]
    p.register_parametrization(module, "weight", f["Double"]())
    p.register_parametrization(module, "bias", f["Split"]())
    results += [module.weight, module.bias, module.state_dict(), repr(module)]
    results += [p.is_parametrized(module), p.is_parametrized(module, "weight")]
    results += [type(module).__name__, p.type_before_parametrizations(module).__name__]
    results += [trained(t, module, t.randn(2, 3))]
    p.remove_parametrizations(module, "weight")
    results += [type(module).__name__, p.is_parametrized(module, "weight"), module.state_dict()]
    p.remove_parametrizations(module, "bias")
    results += [type(module).__name__, p.is_parametrized(module), repr(module)]
    return [*results, module.state_dict(), hasattr(module, "parametrizations")]


@program
def parametrized_left_original(t):
    f, p = functions(t), t.nn.utils.parametrize
    module = t.nn.Linear(2, 2)
    p.register_parametrization(module, "weight", f["Double"]())
    p.remove_parametrizations(module, "weight", leave_parametrized=False)
    return module.state_dict(), [name for name, _ in module.named_parameters()]


@program
def parametrized_buffer(t):
    f, p = functions(t), t.nn.utils.parametrize
    module = t.nn.BatchNorm1d(2)
    p.register_parametrization(module, "running_mean", f["Double"]())
    results = [module.running_mean, module.state_dict()]
    p.remove_parametrizations(module, "running_mean")
    return [*results, module.state_dict()]


@program
def parametrized_cached(t):
    f, p = functions(t), t.nn.utils.parametrize
    module = t.nn.Linear(2, 2)
    p.register_parametrization(module, "weight", f["Double"]())
    with p.cached():
        same = module.weight is module.weight
        with p.cached():
            same_inside = module.weight is module.weight
        still = module.weight is module.weight
    return same, same_inside, still, module.weight is module.weight


@program
def parametrized_copied(t):
    f, p = functions(t), t.nn.utils.parametrize
    module = t.nn.Linear(2, 2)
    p.register_parametrization(module, "weight", f["Double"]())
    other = copy.deepcopy(module)
    with t.no_grad():
        other.parametrizations.weight.original.fill_(1.0)
    third = t.nn.Linear(2, 2)
    p.transfer_parametrizations_and_params(other, third)
    return [
        *(module.weight, other.weight, third.weight, third.state_dict()),
        refused(lambda: pickle.dumps(module)),
    ]


@program
def parametrized_refused(t):
    f, p = functions(t), t.nn.utils.parametrize
    one = t.nn.Linear(3, 3)
    p.register_parametrization(one, "weight", f["Double"]())
    split = t.nn.Linear(3, 3)
    p.register_parametrization(split, "weight", f["Split"]())

    def register(name, function, **options):
        return lambda: p.register_parametrization(t.nn.Linear(3, 3), name, function(), **options)

    def assign():
        one.weight = t.ones(3, 3)

    return refused(
        register("gain", f["Double"]),
        register("weight", f["Cut"]),
        register("weight", f["Cast"]),
        register("weight", f["Pair"]),
        lambda: p.register_parametrization(one, "weight", f["Cut"]()),
        lambda: p.register_parametrization(one, "weight", f["Cast"]()),
        lambda: p.register_parametrization(one, "weight", f["Pair"]()),
        lambda: p.register_parametrization(one, "weight", f["Split"]()),
        assign,
        lambda: p.remove_parametrizations(t.nn.Linear(3, 3), "weight"),
        lambda: p.remove_parametrizations(split, "weight", leave_parametrized=False),
        register("weight", f["Cut"], unsafe=True),
    )


# ---- the rest -------------------------------------------------------------------------------


@program
def fused(t):
    utils = t.nn.utils
    results = []
    for make, shape, transpose in (
        (lambda: t.nn.Conv2d(2, 3, 2), (1, 2, 4, 4), False),
        (lambda: t.nn.Conv1d(2, 3, 2, bias=False), (1, 2, 4), False),
        (lambda: t.nn.ConvTranspose2d(2, 3, 2), (1, 2, 4, 4), True),
    ):
        layer = make()
        bn = (t.nn.BatchNorm1d if len(shape) == 3 else t.nn.BatchNorm2d)(3)
        x = t.randn(*shape)
        bn(layer(x))
        fused = utils.fuse_conv_bn_eval(layer.eval(), bn.eval(), transpose)
        results += [fused.state_dict(), fused(x), bn(layer(x)), repr(fused)]
    linear, bn = t.nn.Linear(3, 2).eval(), t.nn.BatchNorm1d(2, affine=True).eval()
    bn.running_mean += 0.5
    fused = utils.fuse_linear_bn_eval(linear, bn)
    x = t.randn(2, 3)
    results += [fused(x), bn(linear(x))]
    return results + refused(
        lambda: utils.fuse_conv_bn_eval(t.nn.Conv1d(1, 1, 1), t.nn.BatchNorm1d(1)),
        lambda: utils.fuse_linear_bn_eval(linear, t.nn.BatchNorm1d(5).eval()),
    )


@program
def skipped(t):
    module = t.nn.utils.skip_init(t.nn.Linear, 3, 4, bias=False)
    return [
        *(repr(module), tuple(module.weight.shape), t.rand(2)),
        refused(
            lambda: t.nn.utils.skip_init(int),
            lambda: t.nn.utils.skip_init(t.nn.Dropout),
        ),
    ]


@program
def memory_formats(t):
    model = t.nn.Sequential(t.nn.Conv2d(3, 4, 2), t.nn.Linear(2, 2))
    t.nn.utils.convert_conv2d_weight_memory_format(model, t.channels_last)
    return tuple(model[0].weight.stride()), model.state_dict()


@program
def stateless(t):
    call = t.nn.utils.stateless.functional_call
    module = t.nn.Linear(2, 2)
    x = t.ones(1, 2)
    given = {"weight": t.zeros(2, 2)}
    return [
        *(call(module, given, x), call(module, given, (x,)), call(module, {}, x), module(x)),
        refused(
            lambda: call(module, given, x, strict=True),
            lambda: call(module, {"gain": x}, x, strict=True),
        ),
    ]


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    check(PROGRAMS[name])
