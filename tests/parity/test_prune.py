"""nn.utils.prune: programs that give the same in PyTorch and here."""

import copy
import importlib

import pytest

from tests.parity.programs import check, refused, trained

pytest.importorskip("torch")

importlib.import_module("torch.nn.utils.prune")
importlib.import_module("disttorch.nn.utils.prune")

pytestmark = pytest.mark.parity

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


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


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    check(PROGRAMS[name])
