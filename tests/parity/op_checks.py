"""One sample of one operator under PyTorch and here: values, gradients, variants, `out=`, views."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.testing._internal.opinfo.core import OpInfo, SampleInput
from torch.utils._pytree import tree_map

import disttorch
from tests.parity import op_entries
from tests.parity.convert import flat_tensors, rebound, to_numpy, to_ours
from tests.parity.op_compare import Disagreement, agree, agree_views, without_ties

DIFFERENTIABLE = (torch.float64, torch.complex128)
DTYPES = (
    *(torch.float64, torch.float32, torch.complex128, torch.int64, torch.bool),
    *(torch.bfloat16, torch.float16, torch.uint8),
)
# Memory that nobody wrote: only shape and dtype can agree.
UNINITIALISED = frozenset(
    "empty empty_like empty_permuted empty_strided new_empty new_empty_strided resize_ "
    "resize_as_".split()
)
# Decompositions are unique only up to signs and rotations: compared through the entry's own
# `output_process_fn_grad`, which keeps what is determined, and without the bare values.
GAUGE = frozenset(
    "svd linalg.svd linalg.eig linalg.eigh svd_lowrank pca_lowrank linalg.qr qr geqrf "
    "linalg.householder_product linalg.ldl_factor linalg.ldl_factor_ex".split()
)


# In place of gradients of an order that PyTorch says it cannot compute, or fails to.
NO_DERIVATIVE: list[Any] = ["not implemented"]


@dataclass
class Outcome:
    """What the samples of one entry gave."""

    label: str
    missing: bool = False
    samples: int = 0
    agreed: int = 0
    errors: int = 0
    errors_agreed: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.missing and self.agreed == self.samples


def run_entry(op: OpInfo, most: int | None = None) -> Outcome:
    """Run the samples of an entry in every dtype it knows, `most` spread evenly a dtype."""
    outcome = Outcome(op_entries.label(op))
    function = op_entries.ours(op)
    if function is None:
        outcome.missing = True
        return outcome
    for dtype in DTYPES:
        if dtype not in op.dtypes:
            continue
        for number, sample in _samples(op, dtype, most, everywhere=not outcome.samples):
            outcome.samples += 1
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    compare_sample(op, function, sample, dtype)
            except Exception as error:  # a report is wanted, not a stop
                where = f"{outcome.label} {str(dtype).removeprefix('torch.')} sample {number}"
                outcome.failures.append(f"{where}: {describe(sample)}\n    {brief(error)}")
            else:
                outcome.agreed += 1
    _compare_errors(op, function, outcome)
    return outcome


# Making the samples of some entries takes a hundred times as long as comparing three of them.
_NEAR = 100


def _samples(
    op: OpInfo, dtype: torch.dtype, most: int | None, *, everywhere: bool
) -> Iterator[tuple[int, SampleInput]]:
    """Samples and their numbers: all, or `most` spread over all, or over the first hundred."""
    torch.manual_seed(1)
    end = None if most is None or everywhere else _NEAR
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        requires_grad = op.supports_autograd and dtype in DIFFERENTIABLE
        try:
            made = op.sample_inputs("cpu", dtype, requires_grad=requires_grad)
            samples = list(itertools.islice(made, end))
        except (RuntimeError, NotImplementedError):  # some makers know no such dtype
            return
    step = 1 if most is None else max(1, -(-len(samples) // most))
    yield from list(enumerate(samples))[::step]


def describe(sample: SampleInput) -> str:
    """The arguments of a sample, tensors as their shapes, on one line."""
    text = re.sub(r"Tensor\[size=|, device=\"cpu\", dtype=torch.\w+\]", "", repr(sample.summary()))
    return text.removeprefix("'SampleInput(").split(", broadcasts_input=")[0][:300]


def brief(error: BaseException) -> str:
    kind = "" if isinstance(error, Disagreement) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())[:400]


def compare_sample(
    op: OpInfo, function: Callable[..., Any], sample: SampleInput, dtype: torch.dtype
) -> None:
    """Raise `Disagreement` (or what our function raises) unless everything agrees."""
    theirs = (sample.input, *sample.args)
    mine = to_ours(theirs)
    kwargs = to_ours(sample.kwargs)
    wanted, refusal = _attempt(lambda: _seeded(torch, op.op, theirs, sample.kwargs))
    if refusal is not None:
        _expect_refusal(refusal, lambda: _seeded(disttorch, function, mine, kwargs))
        return
    given = _seeded(disttorch, function, mine, kwargs)
    metadata_only = op.name in UNINITIALISED
    if op.name in GAUGE:
        given = rebound(sample.output_process_fn_grad)(given)
        wanted = sample.output_process_fn_grad(wanted)
    given, wanted = without_ties(op.name, sample, given, wanted)
    agree(given, wanted, metadata_only=metadata_only)
    agree_views(mine[0], given, theirs[0], wanted)
    if metadata_only:
        return
    if op.supports_autograd and dtype in DIFFERENTIABLE:
        _compare_gradients(op, function, sample)
    if dtype in {torch.float32, torch.int64, torch.complex128}:
        _compare_variants(op, sample, wanted)
        if op.supports_out and op.name not in GAUGE:
            _compare_out(op, function, sample)


def _seeded(module: Any, function: Any, args: Any, kwargs: Any) -> Any:
    module.manual_seed(0)
    return function(*args, **kwargs)


def _attempt(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return call(), None
    except Exception as error:
        return None, error


def _expect_refusal(refusal: BaseException, call: Callable[[], Any]) -> None:
    _, error = _attempt(call)
    if error is None:
        raise Disagreement(f"PyTorch refuses this: {brief(refusal)}")


# ---- gradients ------------------------------------------------------------------------------


def _compare_gradients(op: OpInfo, function: Callable[..., Any], sample: SampleInput) -> None:
    wanted = _gradients(torch, torch.Tensor, op.gradcheck_wrapper, op, op.op, sample)
    copy = SampleInput(
        to_ours(sample.input),
        args=to_ours(sample.args),
        kwargs=to_ours(sample.kwargs),
        output_process_fn_grad=rebound(sample.output_process_fn_grad),
    )
    masked = op.name.startswith("masked.")
    wrapper = _masked(op, sample) if masked else rebound(op.gradcheck_wrapper)
    given = _gradients(disttorch, disttorch.Tensor, wrapper, op, function, copy)
    if wanted[-1:] == [NO_DERIVATIVE]:
        wanted.pop()
        given = given[: len(wanted)]
    for order, (mine, theirs) in enumerate(zip(given, wanted, strict=False), 1):
        for k, (g, w) in enumerate(zip(mine, theirs, strict=True)):
            _agree_gradient(g, w, f"gradient of order {order} of input {k}")
    # An order that only one of the two goes to is the same if it is all zeros.
    more = max(given, wanted, key=len)[min(len(given), len(wanted)) :]
    if any(g is not None and to_numpy(g).any() for grads in more for g in grads):
        raise Disagreement(f"gradients to order {len(given)}, PyTorch's go to {len(wanted)}")


def _agree_gradient(given: Any, wanted: Any, what: str) -> None:
    """Equal values; a gradient that is None counts as zeros."""
    if given is None and wanted is None:
        return
    if wanted is None:
        wanted = torch.zeros(tuple(given.shape), dtype=getattr(torch, str(given.dtype)[6:]))
    if given is None:
        given = disttorch.from_numpy(np.zeros_like(to_numpy(wanted)))
    agree(given, wanted, what=what)


def _masked(op: OpInfo, sample: SampleInput) -> Callable[..., Any]:
    """What the wrapper of masked operators does, zeros where nothing counts, by PyTorch's mask."""

    def ones(*args: Any, **kwargs: Any) -> torch.Tensor:
        return torch.ones_like(op.op(*args, **kwargs))

    ones.__name__ = op.name.removeprefix("masked.")
    kept = op.gradcheck_wrapper(ones, sample.input, *sample.args, **sample.kwargs) != 0
    mask = disttorch.from_numpy(kept.numpy())

    def wrapper(function: Any, *args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return disttorch.where(mask, result, result.new_zeros([]))

    return wrapper


def _gradients(
    module: Any, kind: type, wrapper: Any, op: OpInfo, function: Any, sample: Any
) -> list[list[Any]]:
    """First and, where the entry promises it, second gradients of a weighted sum of the outputs."""
    inputs = [t for t in flat_tensors((sample.input, sample.args, sample.kwargs), kind)]
    leaves = [t for t in dict.fromkeys(inputs) if t.requires_grad]
    module.manual_seed(0)
    result = wrapper(function, sample.input, *sample.args, **sample.kwargs)
    result = sample.output_process_fn_grad(result)
    outputs = [t for t in flat_tensors(result, kind) if t.requires_grad]
    orders: list[list[Any]] = []
    for order in range(2 if op.supports_gradgrad else 1):
        if not outputs or not leaves:
            break
        weights = [_weights(module, y, k) for k, y in enumerate(outputs)]
        try:
            grads = module.autograd.grad(
                outputs, leaves, weights, create_graph=order == 0, allow_unused=True
            )
        except RuntimeError as error:
            fails_itself = module is torch and order == 1
            if not fails_itself and "is not implemented" not in str(error):
                raise
            orders.append(NO_DERIVATIVE)
            break
        orders.append(list(grads))
        outputs = [g for g in grads if g is not None and g.requires_grad]
    return orders


def _weights(module: Any, y: Any, k: int) -> Any:
    """Gradients for an output that are the same for both: no cancellation, no zeros."""
    random = np.random.default_rng(k)
    shape = tuple(y.shape)
    values = random.uniform(0.5, 1.5, shape)
    if y.dtype.is_complex:
        values = values + 1j * random.uniform(-1, 1, shape)
    return module.from_numpy(np.asarray(values)).to(y.dtype)


# ---- variants -------------------------------------------------------------------------------


def _compare_variants(op: OpInfo, sample: SampleInput, wanted: Any) -> None:
    """The method and the in-place method, on inputs that need no gradient."""
    if not isinstance(sample.input, torch.Tensor) or op.variant_test_name in {"functionalized"}:
        return
    for variant in (op.method_variant, op.inplace_variant):
        name = getattr(variant, "__name__", None)
        if name is None or not hasattr(torch.Tensor, name):
            continue
        theirs = _detached((sample.input, sample.args, sample.kwargs), torch.Tensor)
        mine = to_ours(theirs)
        wanted, refusal = _attempt(lambda v=variant, t=theirs: _called(torch, v, t))
        ours = getattr(disttorch.Tensor, name, None)
        if ours is None:
            raise Disagreement(f"Tensor.{name} is missing")
        if refusal is not None:
            _expect_refusal(refusal, lambda o=ours, m=mine: _called(disttorch, o, m))
            continue
        given = _called(disttorch, ours, mine)
        given, wanted = without_ties(op.name, sample, given, wanted)
        if op.name not in GAUGE:
            agree(given, wanted, what=f"Tensor.{name}")
        if variant is op.inplace_variant:
            agree(mine[0], theirs[0], what=f"the input after Tensor.{name}")


def _called(module: Any, function: Any, arguments: Any) -> Any:
    input, args, kwargs = arguments
    return _seeded(module, function, (input, *args), kwargs)


def _detached(value: Any, kind: type) -> Any:
    return tree_map(lambda x: x.detach().clone() if isinstance(x, kind) else x, value)


def _compare_out(op: OpInfo, function: Callable[..., Any], sample: SampleInput) -> None:
    """`out=` of the right shape and dtype is filled and returned, a strided one in place."""
    theirs = _detached((sample.input, sample.args, sample.kwargs), torch.Tensor)
    mine = to_ours(theirs)
    plain = _called(torch, op.op, theirs)
    targets = flat_tensors(plain, torch.Tensor)
    if not targets:
        return
    several = isinstance(plain, (tuple, list))
    # Some of PyTorch's functions fill a strided `out` wrongly: then a dense one. If they do not
    # fill that either, what they return without it must be in ours.
    for like in (_strided_like, torch.zeros_like):
        out = [like(t) for t in targets]
        out_ours = to_ours(out)
        wanted, refusal = _attempt(
            lambda o=out: _called(torch, op.op, _with_out(theirs, o, several))
        )
        if refusal is not None:
            return
        pairs = zip(targets, out, strict=True)
        if all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs):
            break
    else:
        wanted, out = plain, targets
    given = _called(disttorch, function, _with_out(mine, out_ours, several))
    given, wanted = without_ties(op.name, sample, given, wanted)
    agree(given, wanted, what="the result with out=")
    out_ours, out = without_ties(op.name, sample, out_ours, out)
    agree(out_ours, out, what="out")


def _with_out(arguments: Any, out: list[Any], several: bool) -> Any:
    input, args, kwargs = arguments
    return input, args, {**kwargs, "out": tuple(out) if several else out[0]}


def _strided_like(t: torch.Tensor) -> torch.Tensor:
    """Zeros of the shape of `t` whose last dimension has a stride of 2."""
    if not t.ndim:
        return torch.zeros_like(t)
    return torch.zeros((*t.shape, 2), dtype=t.dtype)[..., 0]


# ---- errors ---------------------------------------------------------------------------------


def _compare_errors(op: OpInfo, function: Callable[..., Any], outcome: Outcome) -> None:
    """PyTorch's own bad inputs: counted apart, by type and by the text it gives."""
    if op.error_inputs_func is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            bad = list(op.error_inputs("cpu"))
        except Exception:
            return
        for number, case in enumerate(bad):
            sample = case.sample_input
            theirs = (sample.input, *sample.args)
            if _has_no_counterpart((theirs, sample.kwargs)):
                continue
            mine, kwargs = to_ours((theirs, sample.kwargs))  # they may share memory
            _, wanted = _attempt(lambda t=theirs, s=sample: op.op(*t, **s.kwargs))
            if wanted is None:  # an error of another device or build
                continue
            outcome.errors += 1
            _, given = _attempt(lambda m=mine, k=kwargs: function(*m, **k))
            if isinstance(given, type(wanted)) and first_line(given) == first_line(wanted):
                outcome.errors_agreed += 1
            else:
                told = "nothing" if given is None else f"{type(given).__name__}: {given}"
                outcome.failures.append(
                    f"{outcome.label} bad input {number}: {describe(sample)}\n"
                    f"    wanted {type(wanted).__name__}: {first_line(wanted)}\n    given  {told}"
                )


def _has_no_counterpart(value: Any) -> bool:
    """Whether some tensor is without (meta) or beyond its memory, or has too many dimensions."""
    tensors = flat_tensors(value, torch.Tensor)
    if any(t.device.type == "meta" or t.ndim > 64 for t in tensors):
        return True
    return any(t.numel() and not t.untyped_storage().nbytes() for t in tensors)


def first_line(error: BaseException) -> str:
    """The text of an error, without the notes of its later lines and without module names."""
    lines = str(error).strip().split("\n")
    return " ".join(lines[0].replace("disttorch.", "torch.").split()) if lines else ""
