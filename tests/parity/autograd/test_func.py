"""`torch.func`: functions of functions, under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, errors

pytestmark = pytest.mark.parity
program = Programs()


def numbers(t, *shape):
    n = 1
    for length in shape:
        n *= length
    return t.linspace(0.2, 1.7, n, dtype=t.float64).reshape(shape)


def cubes(x):
    return (x**3).sum()


@program
def grad_in_every_form(t):
    x, y = numbers(t, 3), numbers(t, 3) + 1
    f = t.func

    def weighted(x, y, scale=1.0):
        return (x * x * y).sum() * scale

    return (
        f.grad(cubes)(x),
        f.grad(weighted, argnums=1)(x, y),
        f.grad(weighted, argnums=(0, 1))(x, y, scale=2.0),
        f.grad(weighted, argnums=-1)(x, y),
        f.grad(lambda x: (cubes(x), x * 2), has_aux=True)(x),
        f.grad_and_value(cubes)(x),
        f.grad_and_value(lambda x: (cubes(x), {"twice": [x * 2]}), has_aux=True)(x)[0],
        f.grad(lambda tree: (tree["a"] * tree["b"][0]).sum())({"a": x, "b": (y,)})["b"],
        f.grad(lambda x: y.sum())(x),
    )


@program
def grad_nested(t):
    x = t.tensor(0.7, dtype=t.float64)
    f = t.func.grad
    third = f(f(f(t.sin)))(x)
    perturbation = f(lambda x: x * f(lambda y: x * y)(x))(x)
    confused = f(lambda x: x * f(lambda y: x + y)(t.ones((), dtype=t.float64)))(x)
    return third, perturbation, confused, f(f(lambda y: y * 3.0))(x)


@program
def grad_beside_autograd(t):
    x = numbers(t, 3).requires_grad_()
    w = (numbers(t, 3) + 2).requires_grad_()
    g = t.func.grad(lambda x: (w * x**3).sum())(x)
    g.sum().backward()
    with t.no_grad():
        plain = t.func.grad(cubes)(x)
    return g.detach(), x.grad, w.grad, plain, t.func.grad(cubes)(x.detach()).requires_grad


@program
def vjp_and_jvp(t):
    x, y = numbers(t, 2), numbers(t, 2) + 1

    def both(x, y):
        return {"product": x * y, "power": [x**2, y.sin()]}

    value, pull = t.func.vjp(both, x, y)
    ones = t.ones(2, dtype=t.float64)
    pulled = pull({"product": ones, "power": [ones * 2, ones * 3]})
    primal, tangent = t.func.jvp(both, (x, y), (ones, ones * 0.5))
    out, pull_one, aux = t.func.vjp(lambda x: (x.exp(), x * 2), x, has_aux=True)
    jvp_aux = t.func.jvp(lambda x: (x.exp(), x * 2), (x,), (ones,), has_aux=True)
    linear_value, linear = t.func.linearize(lambda x: x.sin() * y, x)
    return (
        list(value),
        value["power"],
        pulled,
        primal["product"],
        tangent["product"],
        tangent["power"],
        out,
        pull_one(ones),
        aux,
        jvp_aux,
        linear_value,
        linear(ones),
        linear(ones * 2),
    )


@program
def functions_without_in_place_writes(t):
    def writes(a):
        b = a.view(-1)
        b.add_(1)
        return a * 2, b.sin()

    x, y = numbers(t, 2), numbers(t, 3)
    return (
        t.func.functionalize(writes)(x),
        t.func.functionalize(writes, remove="mutations_and_views")(y),
        x,
        y,
        errors(lambda: t.func.functionalize(writes, remove="views")),
    )


@program
def jacobians(t):
    x, y = numbers(t, 3), numbers(t, 2)

    def outer(x, y):
        return x[:, None] * y.exp()

    def several(x, y):
        return {"sum": x.sum() + y, "outer": outer(x, y)}

    f = t.func
    forward, reverse = f.jacfwd(several, argnums=(0, 1))(x, y), f.jacrev(several, (0, 1))(x, y)
    return (
        f.jacrev(outer)(x, y),
        f.jacfwd(outer)(x, y),
        f.jacrev(outer, argnums=1)(x, y),
        f.jacfwd(outer, argnums=(1,))(x, y),
        [forward["sum"], forward["outer"]],
        [reverse["sum"], reverse["outer"]],
        f.jacrev(t.sin, chunk_size=2)(x),
        f.jacrev(lambda x: (x**2, x * 5), has_aux=True)(x),
        f.jacfwd(lambda x: (x**2, x * 5), has_aux=True)(x),
        f.jacrev(lambda x: x * x)(x[0]),
    )


@program
def hessians(t):
    x = numbers(t, 3)

    def energy(x):
        return (x.sin() * x.roll(1)).sum()

    return (
        t.func.hessian(energy)(x),
        t.func.jacrev(t.func.jacrev(energy))(x),
        t.func.jacrev(t.func.jacfwd(energy))(x),
        t.func.jacfwd(t.func.jacfwd(energy))(x),
        t.func.hessian(lambda a, b: (a * b * b).sum(), argnums=(0, 1))(x, x + 1),
        t.func.jvp(t.func.grad(energy), (x,), (x * 2,))[1],
    )


@program
def vmap_over_dimensions(t):
    x, y = numbers(t, 2, 3), numbers(t, 3, 2)
    v = t.func.vmap
    mixed = v(lambda tree, k: (tree[0] * k, tree[1]["a"].sum()), in_dims=((1, {"a": 0}), None))
    return (
        v(t.dot)(x, x),
        v(t.dot, in_dims=(0, 1))(x, y),
        v(t.mul, in_dims=(0, None))(x, y[:, 0]),
        v(lambda row: row * 2, out_dims=1)(x),
        v(lambda row: (row.sum(), row * 2), out_dims=(0, -1))(x),
        v(v(lambda a: a * a))(x),
        v(v(t.add, in_dims=(None, 0)), in_dims=(0, None))(x[0], y[:, 0]),
        mixed((y, {"a": x}), 3.0),
        v(t.dot, chunk_size=1)(x, x),
        v(lambda row, bias: row + bias)(x, bias=numbers(t, 3)),
        v(lambda row: row.sum(), in_dims=-1)(x),
        t.vmap(t.sin)(x),
        v(lambda row: row * 2)(numbers(t, 2, 3)[:0]),
    )


@program
def per_sample_gradients(t):
    weight, bias = numbers(t, 2, 3), numbers(t, 2)
    data, target = numbers(t, 4, 3), numbers(t, 4, 2)

    def loss(params, x, y):
        predicted = t.nn.functional.linear(x, params["w"], params["b"])
        return ((predicted - y) ** 2).mean()

    params = {"w": weight, "b": bias}
    grads = t.func.vmap(t.func.grad(loss), in_dims=(None, 0, 0))(params, data, target)
    return grads["w"], grads["b"]


@program
def gradient_of_a_map(t):
    x = numbers(t, 2, 3).requires_grad_()
    t.func.vmap(lambda row: row.prod())(x).sum().backward()
    inside = t.func.grad(lambda x: t.func.vmap(lambda row: row.prod())(x).sum())(x.detach())
    return x.grad, inside, t.func.vmap(t.func.jacrev(t.sin))(x.detach())


@program
def randomness(t):
    def noisy(x):
        return x + t.rand(2, dtype=t.float64)

    x = t.zeros(3, 2, dtype=t.float64)
    same = t.func.vmap(noisy, randomness="same")(x)
    different = t.func.vmap(noisy, randomness="different")(x)
    return (
        bool((same[0] == same[1]).all()),
        bool((different[0] == different[1]).any()),
        different.shape,
        errors(
            lambda: t.func.vmap(noisy)(x),
            lambda: t.func.vmap(noisy, randomness="some"),
        ),
    )


@program
def functional_calls(t):
    layer = t.nn.Linear(3, 2).double()
    w, b = numbers(t, 2, 3), numbers(t, 2)
    x = numbers(t, 4, 3)
    call = t.func.functional_call
    model = t.nn.Sequential(layer, t.nn.BatchNorm1d(2).double())
    before = layer.weight.detach().clone()
    buffers = {"1.running_mean": t.zeros(2, dtype=t.float64)}
    y = call(layer, {"weight": w, "bias": b}, x)
    z = call(model, ({"0.weight": w, "0.bias": b}, buffers), (x,))
    g = t.func.grad(lambda w: call(layer, {"weight": w, "bias": b}, (x,)).sum())(w)
    return (
        y,
        z.detach(),
        buffers["1.running_mean"],
        model[1].running_mean,
        g,
        bool((layer.weight == before).all()),
        errors(
            lambda: call(layer, {"weight": w}, x, strict=True),
            lambda: call(layer, {"weight": w, "bias": b, "other": b}, x, strict=True),
            lambda: call(layer, ({"weight": w}, {"weight": w}), x),
            lambda: call(layer, 3, x),
            lambda: call(layer, [3], x),
        ),
    )


@program
def ensembles(t):
    models = [t.nn.Linear(3, 2).double() for _ in range(3)]
    for k, model in enumerate(models):
        t.nn.init.constant_(model.weight, k + 0.5)
        t.nn.init.constant_(model.bias, k)
    params, buffers = t.func.stack_module_state(models)
    x = numbers(t, 4, 3)
    y = t.func.vmap(lambda p, b: t.func.functional_call(models[0], (p, b), (x,)))(params, buffers)
    return (
        sorted(params),
        params["weight"].is_leaf,
        buffers,
        y,
        errors(
            lambda: t.func.stack_module_state([]),
            lambda: t.func.stack_module_state([models[0], t.nn.ReLU()]),
            lambda: t.func.stack_module_state([models[0], t.nn.Linear(3, 2).eval()]),
        ),
    )


@program
def refused_transforms(t):
    x = numbers(t, 3)
    f = t.func
    return errors(
        lambda: f.grad(t.sin)(x),
        lambda: f.grad(lambda x: 3.0)(x),
        lambda: f.grad(cubes)(3.0),
        lambda: f.grad(cubes, argnums=1)(x),
        lambda: f.grad(cubes, argnums=())(x),
        lambda: f.grad(lambda x, y: cubes(x), argnums=(0, 0))(x, x),
        lambda: f.grad(cubes, argnums="x")(x),
        lambda: f.grad(cubes, has_aux=True)(x),
        lambda: f.vjp(lambda x: x > 1, x),
        lambda: f.vjp(lambda x: 3.0, x),
        lambda: f.jvp(t.sin, x, x),
        lambda: f.jvp(t.sin, (x,), x),
        lambda: f.jvp(t.sin, (x,), (3.0,)),
        lambda: f.jvp(lambda x: x.detach() * 0, (x,), (x,), strict=True),
        lambda: f.jacrev(t.sin, chunk_size=0),
        lambda: f.jacrev(t.sin)(x.to(t.complex128)),
        lambda: f.jacfwd(lambda x: x * 1j)(x),
    )


@program
def refused_maps(t):
    x = numbers(t, 2, 3)
    v = t.func.vmap

    def add(a, b):
        return a + b

    def one(a):
        return 1.0

    return errors(
        lambda: v(add)(x, x[:1]),
        lambda: v(add, in_dims=(0, None))(3.0, x),
        lambda: v(add, in_dims=(None, None))(x, x),
        lambda: v(add, in_dims="a")(x, x),
        lambda: v(add, in_dims=(0, 5))(x, x),
        lambda: v(add, in_dims=(0, "a"))(x, x),
        lambda: v(one)(x),
        v(add),
        lambda: v(add, out_dims="a")(x, x),
        lambda: v(add, chunk_size=0)(x, x),
        lambda: v(add, out_dims=(0, 1))(x, x),
        lambda: v(add, in_dims=(0,))(x, x),
        lambda: v(lambda a: (a, 3), out_dims=0)(x),
    )


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
