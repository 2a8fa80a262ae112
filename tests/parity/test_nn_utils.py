"""nn.utils and nn.init: small programs that give the same in PyTorch and here.

Every program is a function of the library. Both start from the same seed, whose random numbers are
the same; what a program returns (tensors, text, containers of them) and what it raises or warns of
must agree.
"""

import copy
import pickle
import warnings

import numpy as np
import pytest

import disttorch
from tests.parity import optim_db

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.parity

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


def outcome(library, run):
    library.manual_seed(0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            result = run(library)
        except Exception as error:
            result = type(error).__name__, str(error).replace("disttorch.", "torch.")
    kinds = (UserWarning, FutureWarning)
    texts = [str(w.message) for w in seen if issubclass(w.category, kinds)]
    texts = [text for text in texts if not text.startswith("Lazy modules are a new feature")]
    return (optim_db.to_ours(result) if library is torch else result), texts


def agree(got, want, where="result"):
    if isinstance(want, disttorch.Tensor):
        assert got.dtype is want.dtype, where
        assert got.requires_grad == want.requires_grad, where
        a, b = got.detach().numpy(), want.detach().numpy()
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6, err_msg=where)
    elif isinstance(want, dict):
        assert list(got) == list(want), where
        for key, value in want.items():
            agree(got[key], value, f"{where}[{key!r}]")
    elif isinstance(want, (list, tuple)):
        assert len(got) == len(want), (where, got, want)
        for i, value in enumerate(want):
            agree(got[i], value, f"{where}[{i}]")
    else:
        assert got == want, where


def refused(*calls):
    """The errors of several calls."""
    texts = []
    for call in calls:
        try:
            call()
        except Exception as error:
            text = str(error).replace("disttorch.", "torch.")
            texts.append((type(error).__name__, text))
        else:
            texts.append("no error")
    return texts


def trained(t, module, x, n_steps=3):
    """State and output after some steps of gradient descent."""
    optimiser = t.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(n_steps):
        optimiser.zero_grad()
        module(x).pow(2).sum().backward()
        optimiser.step()
    return module.state_dict(), module(x)


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


# ---- pruning --------------------------------------------------------------------------------


@program
def pruned(t):
    prune = t.nn.utils.prune
    x = t.randn(2, 4)
    results = []
    for apply in (
        lambda m: prune.identity(m, "weight"),
        lambda m: prune.random_unstructured(m, "weight", 0.3),
        lambda m: prune.random_unstructured(m, "bias", 1),
        lambda m: prune.l1_unstructured(m, "weight", 5),
        lambda m: prune.l1_unstructured(m, "weight", 0.5, m.weight.detach() ** 2 - 0.1),
        lambda m: prune.random_structured(m, "weight", 1, dim=0),
        lambda m: prune.random_structured(m, "weight", 0.5, dim=1),
        lambda m: prune.ln_structured(m, "weight", 2, n=2, dim=1),
        lambda m: prune.ln_structured(m, "weight", 0.4, n=float("inf"), dim=0),
        lambda m: prune.ln_structured(m, "weight", 1, 1, -1, -m.weight.detach()),
        lambda m: prune.custom_from_mask(m, "bias", t.tensor([1.0, 0.0, 1.0])),
    ):
        module = apply(t.nn.Linear(4, 3))
        results += [trained(t, module, x), prune.is_pruned(module)]
        name = "weight" if hasattr(module, "weight_orig") else "bias"
        prune.remove(module, name)
        results += [module.state_dict(), module(x), prune.is_pruned(module)]
    return results


@program
def pruned_twice(t):
    prune = t.nn.utils.prune
    module = t.nn.Linear(4, 6)
    prune.l1_unstructured(module, "weight", 5)
    prune.ln_structured(module, "weight", 2, n=2, dim=0)
    prune.random_unstructured(module, "weight", 0.25)
    (hook,) = module._forward_pre_hooks.values()
    return module.state_dict(), type(hook).__name__, [type(m).__name__ for m in hook], len(hook)


@program
def pruned_globally(t):
    prune = t.nn.utils.prune
    model = t.nn.Sequential(t.nn.Linear(3, 4), t.nn.Linear(4, 2))
    pairs = [(model[0], "weight"), (model[1], "weight")]
    prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=0.5)
    first = copy.deepcopy(model.state_dict())
    prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=3)
    return first, model.state_dict()


@program
def pruned_tensors(t):
    prune = t.nn.utils.prune
    x = t.randn(3, 4)
    return [
        prune.L1Unstructured(4).prune(x),
        prune.LnStructured(2, n=1, dim=1).prune(x, t.ones(3, 4)),
        prune.RandomUnstructured(0.5).prune(x, importance_scores=x.abs()),
    ]


@program
def pruned_refused(t):
    prune = t.nn.utils.prune

    def layer():
        return t.nn.Linear(3, 2)

    return refused(
        lambda: prune.l1_unstructured(layer(), "weight", "much"),
        lambda: prune.l1_unstructured(layer(), "weight", -1),
        lambda: prune.l1_unstructured(layer(), "weight", 1.5),
        lambda: prune.l1_unstructured(layer(), "weight", 7),
        lambda: prune.random_structured(layer(), "bias", 1, 0),
        lambda: prune.random_structured(layer(), "weight", 1, 2),
        lambda: prune.ln_structured(layer(), "weight", 9, 2, 0),
        lambda: prune.remove(t.nn.Identity(), "weight"),
        lambda: prune.global_unstructured(3, prune.L1Unstructured, amount=1),
        lambda: prune.global_unstructured([(layer(), "weight")], prune.LnStructured, amount=1, n=1),
        lambda: prune.PruningContainer().add_pruning_method(3),
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
    want, their_warnings = outcome(torch, PROGRAMS[name])
    got, our_warnings = outcome(disttorch, PROGRAMS[name])
    agree(got, want)
    assert our_warnings == their_warnings
