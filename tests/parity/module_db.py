"""Every module of PyTorch's module database, built in both libraries and compared.

    python -m tests.parity.module_db REGEX -v      # what differs, sample by sample
    python -m tests.parity.module_db --write FILE  # the table, as Markdown

A sample is built from the same constructor arguments in both, in float32 and float64, in training
and in evaluation mode, from the same parameters and random seed. It agrees if repr, keys and shapes
of the state_dict, outputs, gradients of inputs and parameters, and buffers afterwards do.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_modules import module_db

import disttorch

DTYPES = ("float32", "float64")
# Relative to the largest element; sums are ordered differently in the two libraries.
TOLERANCE = {"float32": 2e-4, "float64": 1e-8, "float16": 1e-2, "bfloat16": 5e-2}


@dataclass
class Row:
    """One module of the database: how many of its samples agree, and what the others show."""

    name: str
    n_samples: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def n_agreeing(self) -> int:
        """Samples without a failure."""
        return self.n_samples - len(self.failures)


def translate(value: Any) -> Any:
    """Give the value of this library that stands for a value of PyTorch's, in containers too."""
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        return _encoder_layer(value)
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        return disttorch.nn.utils.rnn.PackedSequence(*(translate(v) for v in value))
    if isinstance(value, torch.Tensor):
        made = disttorch.from_numpy(value.detach().numpy().copy())
        return made.requires_grad_(value.requires_grad)
    if isinstance(value, (torch.dtype, torch.device)):
        kind = disttorch.device if isinstance(value, torch.device) else _dtype
        return kind(str(value))
    if isinstance(value, (list, tuple)):
        return type(value)(translate(v) for v in value)
    if isinstance(value, dict):
        return {k: translate(v) for k, v in value.items()}
    return _translate_setting(value)


def _translate_setting(value: Any) -> Any:
    if isinstance(value, torch.nn.LinearCrossEntropyOptions):
        names = ("allow_retain_graph", "batch_chunk_size", "chunking_method", "acc_policy")
        settings = {name: getattr(value, name) for name in (*names, "acc_dtype")}
        return disttorch.nn.LinearCrossEntropyOptions(**translate(settings))
    if callable(value) and getattr(value, "__name__", None):
        return _function(value)
    return value


def _dtype(name: str) -> Any:
    return getattr(disttorch, name.removeprefix("torch."))


def _function(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of the same name; one that is written for both libraries stays."""
    for home in (disttorch.nn.functional, disttorch):
        if getattr(torch.nn.functional, function.__name__, None) is function or home is disttorch:
            found = getattr(home, function.__name__, None)
            if found is not None:
                return found
    return function


def _encoder_layer(layer: Any) -> Any:
    """Build a layer from what PyTorch's layer says about itself."""
    return disttorch.nn.TransformerEncoderLayer(
        *(layer.linear1.in_features, layer.self_attn.num_heads, layer.linear1.out_features),
        *(layer.dropout.p, translate(layer.activation), layer.norm1.eps),
        *(layer.self_attn.batch_first, layer.norm_first, layer.linear1.bias is not None),
        dtype=translate(layer.linear1.weight.dtype),
    )


def tensors(value: Any) -> Iterator[Any]:
    """Yield the tensors in nested containers, in order."""
    if isinstance(value, (torch.Tensor, disttorch.Tensor)):
        yield value
    elif isinstance(value, dict):
        for v in value.values():
            yield from tensors(v)
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from tensors(v)


def host(tensor: Any) -> np.ndarray:
    """The values as an ndarray."""
    return np.asarray(tensor.detach().numpy())


def difference(what: str, ours: Any, theirs: Any) -> str | None:
    """Describe how two tensors (or None) differ; None where they do not."""
    if (ours is None) != (theirs is None):
        return f"{what}: {'no' if ours is None else 'a'} tensor"
    if ours is None:
        return None
    if str(ours.dtype).rpartition(".")[2] != str(theirs.dtype).rpartition(".")[2]:
        return f"{what}: dtype {ours.dtype}, should be {theirs.dtype}"
    a, b = host(ours), host(theirs)
    if a.shape != b.shape:
        return f"{what}: shape {a.shape}, should be {b.shape}"
    if not a.size:
        return None
    scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0)))
    limit = TOLERANCE.get(b.dtype.name, 0) * scale
    if np.allclose(a, b, rtol=0, atol=limit, equal_nan=True):
        return None
    return f"{what}: differs by {np.abs(a - b).max():.2g}"


def compared(what: str, ours: Any, theirs: Any) -> None:
    """Raise AssertionError unless nested containers hold the same tensors."""
    a, b = list(tensors(ours)), list(tensors(theirs))
    assert len(a) == len(b), f"{what}: {len(a)} tensors, should be {len(b)}"
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        found = difference(f"{what} {i}", x, y)
        assert found is None, found


def same_state(ours: Any, theirs: Any) -> None:
    """Raise AssertionError unless two modules have the same state_dict layout."""
    a = {k: tuple(v.shape) for k, v in ours.state_dict().items()}
    b = {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    assert list(a.items()) == list(b.items()), f"state_dict: {a}, should be {b}"


def load(ours: Any, theirs: Any) -> None:
    """Give our module the parameters and buffers of PyTorch's."""
    ours.load_state_dict({k: translate(v) for k, v in theirs.state_dict().items()})


def backward(outputs: list[Any], library: Any) -> None:
    """Backpropagate fixed random gradients of the differentiable outputs."""
    rng = np.random.RandomState(0)
    made = [rng.standard_normal(tuple(y.shape)) for y in outputs]
    seeds = [
        library.from_numpy(np.asarray(g, host(y).dtype)) for g, y in zip(made, outputs, strict=True)
    ]
    pairs = [(y, g) for y, g in zip(outputs, seeds, strict=True) if y.requires_grad]
    if pairs:
        library.autograd.backward([y for y, _ in pairs], [g for _, g in pairs])


def run(module: Any, args: Any, kwargs: Any, library: Any) -> Any:
    """Call a module under a fixed seed and run its backward."""
    library.manual_seed(5)
    outputs = module(*args, **kwargs)
    backward(list(tensors(outputs)), library)
    return outputs


def check(info: Any, sample: Any, dtype: str, training: bool) -> None:
    """Raise whatever shows that a sample differs."""
    made = sample.constructor_input
    theirs = info.module_cls(*made.args, **made.kwargs)
    theirs = theirs.to(getattr(torch, dtype)).train(training)
    home = disttorch.nn
    kind = getattr(home, info.module_cls.__name__)
    ours = kind(*translate(list(made.args)), **translate(made.kwargs))
    ours = ours.to(_dtype(dtype)).train(training)
    assert repr(ours) == repr(theirs), f"repr {ours!r}, should be {theirs!r}"
    call = sample.forward_input
    args, kwargs = translate(list(call.args)), translate(call.kwargs)
    if "Lazy" in info.name:
        theirs(*call.args, **call.kwargs)
        ours(*args, **kwargs)
        assert repr(ours) == repr(theirs), f"repr {ours!r}, should be {theirs!r}"
    same_state(ours, theirs)
    load(ours, theirs)
    wanted = run(theirs, call.args, call.kwargs, torch)
    actual = run(ours, args, kwargs, disttorch)
    compared("output", actual, wanted)
    compared("buffer", dict(ours.named_buffers()), dict(theirs.named_buffers()))
    given = zip(tensors([args, kwargs]), tensors([list(call.args), call.kwargs]), strict=True)
    for i, (x, y) in enumerate(given):
        found = y.is_leaf and difference(f"gradient of input {i}", x.grad, y.grad)
        assert not found, found
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        found = difference(f"gradient of {name}", p.grad, q.grad)
        assert found is None, found


def samples_of(info: Any) -> Iterator[tuple[str, Any, str, bool]]:
    """Yield (description, sample, dtype, training) for a module of the database."""
    for dtype in DTYPES:
        for training in (True, False):
            torch.manual_seed(1)
            made = info.module_inputs_func(
                *(info, torch.device("cpu"), getattr(torch, dtype)),
                requires_grad=True,
                training=training,
            )
            for i, sample in enumerate(made):
                mode = "train" if training else "eval"
                yield f"{dtype} {mode} {i} {sample.desc}".rstrip(), sample, dtype, training


def examine(info: Any) -> Row:
    """Compare all samples of a module."""
    row = Row(info.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for description, sample, dtype, training in samples_of(info):
            row.n_samples += 1
            try:
                check(info, sample, dtype, training)
            except Exception as error:
                text = f"{type(error).__name__}: {error}".splitlines()
                row.failures.append(f"{description}: {' '.join(text)[:300]}")
    return row


def module_table(pattern: str = "") -> list[Row]:
    """Compare every module whose name contains a match of `pattern`."""
    return [examine(info) for info in module_db if re.search(pattern, info.name)]


def as_markdown(rows: list[Row]) -> str:
    """The table for docs/parity.md: a summary and the modules that do not agree."""
    agreeing = sum(not row.failures for row in rows)
    n_samples = sum(row.n_samples for row in rows)
    lines = [
        f"{agreeing} of {len(rows)} modules of `module_db` agree in all their samples "
        f"({sum(row.n_agreeing for row in rows)} of {n_samples}): repr, state_dict, outputs, "
        "gradients of inputs and parameters, buffers; float32 and float64, training and "
        f"evaluation; PyTorch {torch.__version__}.",
        "",
    ]
    differing = [row for row in rows if row.failures]
    if differing:
        lines += ["| module | samples that agree | first difference |", "|---|---|---|"]
    lines += [
        f"| `{r.name}` | {r.n_agreeing} of {r.n_samples} | {r.failures[0]} |" for r in differing
    ]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status is 1 if something differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("-v", "--verbose", action="store_true", help="every sample that differs")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown")
    options = parser.parse_args(arguments)
    rows = module_table(options.pattern)
    for row in rows:
        print(
            f"{'ok  ' if not row.failures else 'FAIL'} {row.name} {row.n_agreeing}/{row.n_samples}"
        )
        for line in row.failures if options.verbose else ():
            print(f"     {line}")
    print(f"{sum(not row.failures for row in rows)} of {len(rows)} modules agree")
    if options.write:
        options.write.write_text(as_markdown(rows))
    return int(any(row.failures for row in rows))


if __name__ == "__main__":
    sys.exit(main())
