"""Optimisers against PyTorch's own table of them (`torch.testing._internal.common_optimizers`).

    python -m tests.parity.optim_db REGEX -v

runs every configuration of the optimisers whose names match: 20 steps on equal parameters and
gradients, the layout of the state, states carried over in both directions, differentiable steps,
and the errors. Without -v one line an optimiser. `optim_table()` gives the rows to documents.
"""

from __future__ import annotations

import argparse
import copy
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

import disttorch
from disttorch import optim
from disttorch.nn.parameter import Parameter

N_STEPS = 20
TOLERANCE = 1e-5
SHAPES = ((3, 4), (7,), (2, 3, 2))
MATRICES = ((3, 4), (6, 2), (1, 5))
# Refused as a whole: it exists for sparse gradients only.
LEFT_OUT = ("SparseAdam",)


@dataclass
class Row:
    """What became of one optimiser's configurations and error inputs."""

    name: str
    passed: int = 0
    total: int = 0
    errors_passed: int = 0
    errors_total: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def green(self) -> bool:
        return self.passed == self.total and self.errors_passed == self.errors_total


def to_ours(value: Any) -> Any:
    """A value of PyTorch's as one of ours: tensors by way of NumPy, containers by element."""
    import torch

    if isinstance(value, torch.nn.Parameter):
        return Parameter(to_ours(value.detach()))
    if isinstance(value, torch.Tensor):
        ours = disttorch.from_numpy(value.detach().numpy().copy())
        return ours.requires_grad_(value.requires_grad)
    return _each(value, to_ours)


def to_theirs(value: Any) -> Any:
    """The way back."""
    import torch

    if isinstance(value, disttorch.Tensor):
        return torch.from_numpy(value.detach().numpy().copy())
    return _each(value, to_theirs)


def _each(value: Any, convert: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: convert(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(convert(item) for item in value)
    return value


class Side:
    """One library with its parameters, its optimiser, and the loss that gives the gradients."""

    def __init__(self, library: Any, name: str, arrays: list[Any], kwargs: dict[str, Any]) -> None:
        self.library = library
        is_torch = library is not disttorch
        optimisers = library.optim if is_torch else optim
        self.params = [library.nn.Parameter(library.from_numpy(a.copy())) for a in arrays]
        self.differentiable = kwargs.get("differentiable", False)
        self.optimiser = getattr(optimisers, name)(self.params, **kwargs)

    def step(self, name: str, seed: int) -> None:
        # A quasi-Newton method is chaotic on losses that change with every step.
        drawn = np.random.default_rng(0 if name == "LBFGS" else seed)
        targets = [
            self.library.from_numpy(np.asarray(drawn.standard_normal(p.shape)).astype(_np(p)))
            for p in self.params
        ]

        def closure() -> Any:
            self.optimiser.zero_grad()
            loss = sum(
                ((p - t).abs() ** 2 * 0.3 * (i + 1)).sum()
                for i, (p, t) in enumerate(zip(self.params, targets, strict=True))
            )
            loss.backward()
            return loss

        if name == "LBFGS":
            self.optimiser.step(closure)
            return
        for p, t in zip(self.params, targets, strict=True):
            p.grad = t
        if self.differentiable:
            # PyTorch records no step on leaves that ask for gradients.
            with self.library.no_grad():
                for p in self.params:
                    p.requires_grad_(False)
        self.optimiser.step()

    def arrays(self) -> list[Any]:
        return [p.detach().numpy() for p in self.params]


def _np(p: Any) -> Any:
    return p.detach().numpy().dtype


def close(got: Any, want: Any) -> bool:
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape or got.dtype != want.dtype:
        return False
    return bool(np.all(np.abs(got - want) <= TOLERANCE * (1 + np.abs(want))))


def initial(name: str, np_dtype: str) -> list[Any]:
    rng = np.random.default_rng(0)
    drawn = [rng.standard_normal(s) for s in (MATRICES if name == "Muon" else SHAPES)]
    if np_dtype.startswith("complex"):
        drawn = [a + 1j * rng.standard_normal(a.shape) for a in drawn]
    return [np.asarray(a).astype(np_dtype) for a in drawn]


# ---- one configuration ----------------------------------------------------------------------


def configurations(info: Any) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(description, PyTorch's arguments, ours); capturable needs no GPU here, PyTorch's does."""
    from torch.testing._internal.common_optimizers import (
        _get_optim_inputs_including_global_cliquey_kwargs,
    )

    found = []
    for given in _get_optim_inputs_including_global_cliquey_kwargs("cpu", None, info):
        found.append((given.desc, given.kwargs, to_ours(given.kwargs)))
    if info.has_capturable_arg:
        for given in info.optim_inputs_func("cuda"):
            if given.kwargs.get("capturable"):
                theirs = {**given.kwargs, "capturable": False}
                found.append((given.desc, theirs, to_ours(given.kwargs)))
    return found


def dtypes(info: Any, kwargs: dict[str, Any]) -> tuple[str, ...]:
    """What PyTorch accepts with these arguments."""
    complex_too = info.supports_complex and not kwargs.get("fused")
    return ("float32", "float64") + (("complex64",) if complex_too else ())


def differences(name: str, np_dtype: str, theirs: dict, ours: dict) -> Iterator[str]:
    """What differs after 20 steps with these arguments."""
    import torch

    start = initial(name, np_dtype)
    want = Side(torch, name, start, copy.deepcopy(theirs))
    got = Side(disttorch, name, start, copy.deepcopy(ours))
    if repr(got.optimiser).replace("capturable: True", "capturable: False") != repr(want.optimiser):
        yield f"repr: {got.optimiser!r} instead of {want.optimiser!r}"
    for i in range(N_STEPS):
        if i == N_STEPS // 2:
            snapshot = _snapshot(want), _snapshot(got)
        want.step(name, i)
        got.step(name, i)
    yield from _compared("after 20 steps", got, want)
    yield from layout(got.optimiser.state_dict(), want.optimiser.state_dict())
    from_torch = Side(disttorch, name, snapshot[0][0], copy.deepcopy(ours))
    from_torch.optimiser.load_state_dict(to_ours(snapshot[0][1]))
    to_torch = Side(torch, name, snapshot[1][0], copy.deepcopy(theirs))
    to_torch.optimiser.load_state_dict(to_theirs(snapshot[1][1]))
    for i in range(N_STEPS // 2, N_STEPS):
        from_torch.step(name, i)
        to_torch.step(name, i)
    yield from _compared("with torch's state", from_torch, want)
    yield from _compared("torch with our state", to_torch, want)


def _snapshot(side: Side) -> tuple[list[Any], dict[str, Any]]:
    state = copy.deepcopy(side.optimiser.state_dict())
    for group in state["param_groups"]:
        group.pop("capturable", None)  # PyTorch would ask for a GPU
        if "capturable" in side.optimiser.defaults:
            group["capturable"] = False
    return [a.copy() for a in side.arrays()], state


def _compared(when: str, got: Side, want: Side) -> Iterator[str]:
    for k, (a, b) in enumerate(zip(got.arrays(), want.arrays(), strict=True)):
        if not close(a, b):
            yield f"{when}: parameter {k} off by {np.abs(a - b).max():.2e}"


def layout(got: dict[str, Any], want: dict[str, Any]) -> Iterator[str]:
    """Differences of two state dicts: keys and their order, types, dtypes, shapes, values."""
    for ours, theirs in zip(got["param_groups"], want["param_groups"], strict=True):
        if list(ours) != list(theirs):
            yield f"param_groups: {list(ours)} instead of {list(theirs)}"
    if list(got["state"]) != list(want["state"]):
        yield f"state of {list(got['state'])} instead of {list(want['state'])}"
        return
    for number, theirs in want["state"].items():
        ours = got["state"][number]
        if list(ours) != list(theirs):
            yield f"state: {list(ours)} instead of {list(theirs)}"
            continue
        for key, value in theirs.items():
            yield from _value_differences(f"state[{number}][{key!r}]", ours[key], value)


def _value_differences(where: str, got: Any, want: Any) -> Iterator[str]:
    import torch

    if isinstance(want, (list, tuple)):
        if type(got) is not type(want) or len(got) != len(want):
            yield f"{where}: {type(got).__name__} instead of {type(want).__name__}"
            return
        for i, (ours, theirs) in enumerate(zip(got, want, strict=True)):
            yield from _value_differences(f"{where}[{i}]", ours, theirs)
    elif isinstance(want, torch.Tensor):
        if not isinstance(got, disttorch.Tensor):
            yield f"{where}: {type(got).__name__} instead of a tensor"
        elif (str(got.dtype), tuple(got.shape)) != (str(want.dtype), tuple(want.shape)):
            yield f"{where}: {got.dtype} {got.shape} instead of {want.dtype} {want.shape}"
        elif not np.allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-3, atol=1e-4):
            yield f"{where}: values differ"
    elif type(got) is not type(want):
        yield f"{where}: {type(got).__name__} instead of {type(want).__name__}"


# ---- differentiable steps -------------------------------------------------------------------


def unrolled(library: Any, name: str, kwargs: dict[str, Any], n_steps: int) -> list[Any]:
    """Gradients of a loss after recorded steps: of parameter, gradient, tensor settings."""
    optimisers = library.optim if library is not disttorch else optim
    # PyTorch's step counter has the default dtype, and float32 is coarse for 1 - beta2**step.
    library.set_default_dtype(library.float64)
    try:
        return _unrolled(library, getattr(optimisers, name), kwargs, n_steps)
    finally:
        library.set_default_dtype(library.float32)


def _unrolled(library: Any, make: Any, kwargs: dict[str, Any], n_steps: int) -> list[Any]:
    rng = np.random.default_rng(3)
    start = library.from_numpy(rng.standard_normal((3, 4))).requires_grad_(True)
    grad = library.from_numpy(rng.standard_normal((3, 4))).requires_grad_(True)
    settings = [v for v in kwargs.values() if isinstance(v, library.Tensor)]
    settings = [s.requires_grad_(True) for s in settings]
    param = start.clone()
    optimiser = make([param], **kwargs)
    for i in range(n_steps):
        param.grad = grad * (i + 1)
        optimiser.step()
    (param**2).sum().backward()
    return [t.grad.numpy() for t in (start, grad, *settings)]


def recorded_differences(name: str, kwargs: dict[str, Any]) -> Iterator[str]:
    """What differs in the gradients through as many steps, and of as much, as PyTorch gives."""
    import torch

    for tensor_lr, n_steps in ((True, 3), (False, 3), (True, 1), (False, 1)):
        theirs = {**copy.deepcopy(kwargs), "differentiable": True}
        lr = float(kwargs.get("lr", 0.05))
        theirs["lr"] = torch.tensor(lr, dtype=torch.float64) if tensor_lr else lr
        ours = to_ours(theirs)
        try:
            want = unrolled(torch, name, theirs, n_steps)
        except (TypeError, RuntimeError, AttributeError):
            continue
        got = unrolled(disttorch, name, ours, n_steps)
        for what, a, b in zip(("parameter", "gradient", "lr"), got, want, strict=False):
            if not close(a, b):
                yield f"gradient of {what} through steps off by {np.abs(a - b).max():.2e}"
        return
    yield "PyTorch gave no gradients to compare with"


# ---- errors ---------------------------------------------------------------------------------


def outcome(library: Any, name: str, given: Any, convert: Callable[[Any], Any]) -> str:
    """The type and text of the error (or warning) of making an optimiser and stepping it."""
    optimisers = library.optim if library is not disttorch else optim
    params = given.params
    if params is None:
        import torch

        params = [torch.nn.Parameter(torch.ones(2, 2))]
        params[0].grad = torch.ones(2, 2)
    given_params = converted_params(params, convert)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            optimiser = getattr(optimisers, name)(
                given_params, **convert(copy.deepcopy(given.kwargs))
            )
            optimiser.step() if name != "LBFGS" else None
        except Exception as error:
            text = str(error).replace("disttorch", "torch")
            return f"{type(error).__name__}: {text}"
    return "no error"


def converted_params(params: Any, convert: Callable[[Any], Any]) -> Any:
    """Parameters for one library: one object of what was one object, with its gradient."""
    made: dict[int, Any] = {}

    def walk(value: Any) -> Any:
        if isinstance(value, (list, tuple, dict)):
            return _each(value, walk)
        if id(value) not in made:
            made[id(value)] = convert(value)
            if getattr(value, "grad", None) is not None:
                made[id(value)].grad = convert(value.grad)
        return made[id(value)]

    return walk(params)


def error_differences(info: Any) -> Iterator[tuple[str, str | None]]:
    """(description, what differs or None) of every error input."""
    import torch

    for given in info.optim_error_inputs_func("cpu", torch.float32):
        case = given.optimizer_error_input
        want = outcome(torch, info.name, case, lambda x: x)
        got = outcome(disttorch, info.name, case, to_ours)
        yield case.desc, None if got == want else f"{got!r} instead of {want!r}"


# ---- all of it ------------------------------------------------------------------------------


def infos(pattern: str = "") -> list[Any]:
    from torch.testing._internal.common_optimizers import optim_db

    return [i for i in optim_db if i.name not in LEFT_OUT and re.search(pattern, i.name)]


def attempt(differ: Iterator[str]) -> list[str]:
    """The differences, or the exception that stopped the comparison, as one."""
    try:
        return list(differ)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]


def row_of(info: Any, every_dtype: bool = True) -> Row:
    """Compare one optimiser; else each configuration with one dtype only, all dtypes in turn."""
    row = Row(info.name)
    for i, (description, theirs, ours) in enumerate(configurations(info)):
        found = []
        accepted = dtypes(info, theirs)
        for np_dtype in accepted if every_dtype else accepted[i % len(accepted) :][:1]:
            lines = attempt(differences(info.name, np_dtype, theirs, ours))
            found += [f"{np_dtype}: {line}" for line in lines]
        if theirs.get("differentiable"):
            found += attempt(recorded_differences(info.name, theirs))
        row.total += 1
        row.passed += not found
        row.failures += [f"{description}: {line}" for line in found]
    for description, difference in error_differences(info):
        row.errors_total += 1
        row.errors_passed += difference is None
        if difference is not None:
            row.failures.append(f"error input {description}: {difference}")
    return row


@cache
def optim_table() -> tuple[Row, ...]:
    """One row an optimiser."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(row_of(info) for info in infos())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for info in infos(options.pattern):
        row = row_of(info)
        print(
            f"{row.name:12} {row.passed:3} of {row.total:3} configurations, "
            f"{row.errors_passed:2} of {row.errors_total:2} errors"
        )
        if options.verbose:
            print(*(f"    {line}" for line in row.failures), sep="\n")


if __name__ == "__main__":
    main()
