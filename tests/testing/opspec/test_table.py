"""Every row of the operator table through every check; one test a row and check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import disttorch
import disttorch.testing.fake_device
from disttorch.autograd.gradcheck import gradcheck, gradgradcheck
from disttorch.backends import backend_for
from disttorch.dtype import dtype_by_name, get_default_dtype
from disttorch.ops import MARKED
from disttorch.tensor import Tensor
from disttorch.testing.opspec import OpSpec, Sample, all_specs, names_with_rows

FLOATING = "fc"
NUMBER = (int, float, complex)


def rows(check: str, condition: Callable[[OpSpec], Any] = lambda spec: True):
    """Parametrise over the rows that do not skip `check`."""
    specs = [s for s in all_specs() if check not in s.skip and condition(s)]
    return pytest.mark.parametrize("spec", specs, ids=lambda s: s.name)


def public_of(spec: OpSpec):
    return getattr(MARKED.get(spec.name), "__public__", None)


def call(spec: OpSpec, sample: Sample) -> list[Any]:
    """The row's operator on a sample made of tensors; its outputs as a flat list."""
    op = spec.op or MARKED[spec.name]
    return flat(op(*sample.args, **sample.kwargs))


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def expected(spec: OpSpec, sample: Sample, seed: int = 0) -> list[Any]:
    """What the reference says."""
    made = sample.make(lambda a: a, seed)
    return flat(spec.ref(*made.args, **made.kwargs))


def host(value: Any) -> np.ndarray:
    return value.backend.to_host(value._array) if isinstance(value, Tensor) else np.asarray(value)


def tensors_of(sample: Sample) -> list[Tensor]:
    found: list[Tensor] = []

    def visit(value: Any) -> None:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            for v in value:
                visit(v)

    for value in (*sample.args, *sample.kwargs.values()):
        visit(value)
    return found


def strided(array: np.ndarray) -> np.ndarray:
    """The same values with other strides: transposed memory, or every second element."""
    if array.ndim >= 2:
        return np.ascontiguousarray(array.T).T
    if array.ndim == 1:
        return np.repeat(array, 2)[::2]
    return array


def plain(array: np.ndarray) -> Tensor:
    return Tensor._wrap(array.copy())


def leaf(layout: Callable[[np.ndarray], np.ndarray] = np.copy, device: str = "cpu"):
    """A converter for `Sample.make`: leaves that require grad if they are floating."""
    backend = backend_for(disttorch.device(device))

    def convert(array: np.ndarray) -> Tensor:
        tensor = Tensor._wrap(backend.asarray(layout(array)))
        return tensor.requires_grad_(array.dtype.kind in FLOATING)

    return convert


def compare(spec: OpSpec, sample: Sample, actual: list[Any], wanted: list[Any], **tolerance: float):
    if len(wanted) == 1 and wanted[0] is None:
        return
    assert len(actual) == len(wanted)
    for output, reference in zip(actual, wanted, strict=True):
        if reference is not None:
            a, w = host(output), np.asarray(reference)
            assert a.shape == w.shape, f"{sample}: shape {a.shape}, expected {w.shape}"
            np.testing.assert_allclose(a, w, err_msg=str(sample), **tolerance)


def test_every_public_operator_has_a_row():
    missing = sorted(set(MARKED) - names_with_rows())
    assert not missing, f"no OpSpec row for: {', '.join(missing)}"


@pytest.mark.parametrize("spec", all_specs(), ids=lambda s: s.name)
def test_samples_cover_the_usual_shapes(spec):
    shapes = [v.shape for s in spec.samples for v in s.values()]
    assert "0-d" in spec.skip or () in shapes
    assert "empty" in spec.skip or any(0 in s for s in shapes)


@rows("forward")
def test_forward_equals_the_reference(spec):
    for sample in spec.samples:
        made = sample.make(plain)
        before = [t._array.copy() for t in tensors_of(made)]
        actual, wanted = call(spec, made), expected(spec, sample)
        compare(spec, sample, actual, wanted, rtol=spec.rtol, atol=spec.atol)
        for a, w in zip(actual, wanted, strict=len(wanted) > 1):
            if w is not None:
                assert host(a).dtype == np.asarray(w).dtype, str(sample)
        for t, array in zip(tensors_of(made), before, strict=True):
            np.testing.assert_array_equal(t._array, array, err_msg="an input was modified")
            assert t._version == 0


@rows("strided")
def test_strided_inputs_give_the_same(spec):
    for sample in spec.samples:
        made = sample.make(lambda a: Tensor._wrap(strided(a)))
        compare(
            spec, sample, call(spec, made), expected(spec, sample), rtol=spec.rtol, atol=spec.atol
        )


NARROW = {"float64": "float32", "complex128": "complex64"}


@rows("float32")
def test_single_precision_stays_single(spec):
    for sample in spec.samples:
        if not any(v.dtype in NARROW for v in sample.values()):
            continue
        made = sample.make(lambda a: Tensor._wrap(a.astype(NARROW.get(a.dtype.name, a.dtype))))
        wanted = expected(spec, sample)
        actual = call(spec, made)
        compare(spec, sample, actual, wanted, rtol=1e-3, atol=1e-4)
        for a, w in zip(actual, wanted, strict=len(wanted) > 1):
            if w is not None:
                name = np.asarray(w).dtype.name
                assert host(a).dtype.name == NARROW.get(name, name), str(sample)


def differentiable_calls(spec: OpSpec, layouts: tuple[Callable, ...]):
    """(function of the differentiable tensors of a sample, these tensors) for gradcheck."""
    for sample in spec.samples:
        for layout in layouts:
            made = sample.make(leaf(layout))
            inputs = [t for t in tensors_of(made) if t.requires_grad]
            outputs = call(spec, made)
            if not any(isinstance(y, Tensor) and y.requires_grad for y in outputs):
                continue
            yield (lambda *_, made=made: tuple(call(spec, made))), inputs


@rows("gradcheck")
def test_first_derivatives(spec):
    for function, inputs in differentiable_calls(spec, (np.copy, strided)):
        assert gradcheck(function, inputs)


@rows("gradgradcheck", lambda spec: "gradcheck" not in spec.skip)
def test_second_derivatives(spec):
    for function, inputs in differentiable_calls(spec, (np.copy,)):
        assert gradgradcheck(function, inputs)


@rows("inplace", lambda spec: public_of(spec) and public_of(spec).inplace)
def test_inplace_variant_equals_the_operator(spec):
    for sample in spec.samples:
        made = sample.make(plain)
        first = made.args[0]
        if not isinstance(first, Tensor):
            continue
        wanted = call(spec, made)[0]
        if wanted.shape != first.shape or wanted.dtype != first.dtype:
            continue
        target = Tensor._wrap(first._array.copy())
        result = getattr(target, f"{spec.name}_")(*made.args[1:], **made.kwargs)
        assert result is target
        assert target._version == 1
        np.testing.assert_array_equal(host(target), host(wanted), err_msg=str(sample))


@rows("method", lambda spec: spec.op is None and public_of(spec) and public_of(spec).method)
def test_method_equals_the_function(spec):
    for sample in spec.samples:
        made = sample.make(plain)
        if not isinstance(made.args[0], Tensor):
            continue
        actual = flat(getattr(made.args[0], spec.name)(*made.args[1:], **made.kwargs))
        for a, w in zip(actual, call(spec, made), strict=True):
            np.testing.assert_array_equal(host(a), host(w), err_msg=str(sample))


@pytest.mark.parametrize(
    ("spec", "alias"),
    [(s, a) for s in all_specs() for a in s.aliases],
    ids=lambda v: getattr(v, "name", v),
)
def test_alias_equals_its_operator(spec, alias):
    for sample in spec.samples:
        made = sample.make(plain)
        actual = flat(MARKED[alias](*made.args, **made.kwargs))
        for a, w in zip(actual, call(spec, made), strict=True):
            np.testing.assert_array_equal(host(a), host(w), err_msg=str(sample))


def result_dtype(rule: str, source: str) -> disttorch.dtype:
    """Dtype named by `OpSpec.integers` or `bools` for inputs of dtype `source`."""
    if rule == "float":
        return get_default_dtype()
    return dtype_by_name(source if rule == "same" else rule)


@pytest.mark.parametrize("kind", ["integers", "bools"])
@pytest.mark.parametrize(
    "spec", [s for s in all_specs() if s.integers or s.bools], ids=lambda s: s.name
)
def test_integers_and_bools_promote(spec, kind):
    rule = getattr(spec, kind)
    if rule is None or kind in spec.skip:
        return
    source = "int64" if kind == "integers" else "bool"

    def converted(array: np.ndarray) -> np.ndarray:
        return np.asarray(np.rint(array)).astype(source) if array.dtype.kind == "f" else array

    for sample in spec.samples:
        if {v.dtype for v in sample.values()} != {"float64"}:
            continue
        made = sample.make(lambda a: Tensor._wrap(converted(a)))
        if rule == "refused":
            with pytest.raises((RuntimeError, NotImplementedError)):
                call(spec, made)
            continue
        hosts = sample.make(converted)
        numbers = [a for a in (*hosts.args, *hosts.kwargs.values()) if isinstance(a, NUMBER)]
        if not all(isinstance(n, bool if kind == "bools" else int) for n in numbers):
            continue  # a number of a higher kind is a matter of promotion, not of the row
        actual = call(spec, made)
        if rule == "float":  # NumPy computes exp of bools in float16
            hosts = sample.make(lambda a: converted(a).astype("float64"))
        wanted = flat(spec.ref(*hosts.args, **hosts.kwargs))
        compare(spec, sample, actual, wanted, rtol=1e-5, atol=1e-6)
        if wanted[0] is not None:
            assert actual[0].dtype is result_dtype(rule, source), str(sample)


@rows("fake", lambda spec: "forward" not in spec.skip)
def test_runs_on_the_fake_device(spec):
    for sample in spec.samples:
        actual = call(spec, sample.make(on_fake))
        for a, w in zip(actual, call(spec, sample.make(plain)), strict=True):
            if isinstance(a, Tensor):
                assert a.device.type == "fake", str(sample)
            np.testing.assert_allclose(host(a), host(w), err_msg=str(sample))


def on_fake(array: np.ndarray) -> Tensor:
    return Tensor._wrap(backend_for(disttorch.device("fake")).asarray(array))


@rows("fake_grad", lambda spec: not {"fake", "gradcheck"} & set(spec.skip))
def test_differentiates_on_the_fake_device(spec):
    for sample in spec.samples:
        for create_graph in (False, True) if "gradgradcheck" not in spec.skip else (False,):
            on_fake = gradients(spec, sample, "fake", create_graph)
            on_cpu = gradients(spec, sample, "cpu", create_graph)
            for a, w in zip(on_fake, on_cpu, strict=True):
                assert (a is None) == (w is None)
                if a is not None:
                    assert a.device.type == "fake"
                    # The CPU's libraries may round otherwise, which shows where terms cancel.
                    np.testing.assert_allclose(host(a), host(w), atol=1e-13, err_msg=str(sample))


def gradients(spec: OpSpec, sample: Sample, device: str, create_graph: bool) -> list[Any]:
    """Gradients of the inputs, or of a function of these, for random gradients of the outputs."""
    made = sample.make(leaf(device=device))
    inputs = [t for t in tensors_of(made) if t.requires_grad]
    outputs = [y for y in call(spec, made) if isinstance(y, Tensor) and y.requires_grad]
    if not outputs:
        return []
    rng = np.random.RandomState(3)
    backend = outputs[0].backend
    seeds = [
        Tensor._wrap(backend.asarray(np.asarray(rng.standard_normal(y.shape), y._array.dtype)))
        for y in outputs
    ]
    grads = disttorch.autograd.grad(
        outputs, inputs, seeds, create_graph=create_graph, allow_unused=True
    )
    again = [g for g in grads if g is not None and g.requires_grad]
    if not again:
        return list(grads)
    ones = [Tensor._wrap(backend.xp.ones_like(g._array)) for g in again]
    return list(disttorch.autograd.grad(again, inputs, ones, allow_unused=True))
