"""Averages of models: when they are taken, of what, and among whom."""

import warnings

import numpy as np
import pytest

import disttorch as torch
from disttorch import nn
from disttorch.distributed.algorithms.model_averaging import utils
from disttorch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
from disttorch.distributed.algorithms.model_averaging.hierarchical_model_averager import (
    HierarchicalModelAverager,
)
from disttorch.distributed.world import _World
from tests.comm.ranks import run_ranks


def parameter(value, *, trained=True, **how):
    made = nn.Parameter(torch.full((2, 3), float(value), **how))
    made.grad = torch.zeros_like(made) if trained else None
    return made


def walk(group, averager, n_steps):
    """A parameter's values where each rank adds its number plus one a step."""
    _World.group = group
    p = parameter(0)
    found = []
    for _ in range(n_steps):
        with torch.no_grad():
            p += group.rank + 1
        averager.average_parameters([p])
        found.append(p[0, 0].item())
    return found


@pytest.mark.parametrize(
    ("period", "warmup", "first", "second"),
    [
        (2, 0, [1.5, 2.5, 4.5, 5.5], [1.5, 3.5, 4.5, 6.5]),
        (3, 1, [1.0, 3.0, 4.0, 5.0], [2.0, 3.0, 5.0, 7.0]),
        (2, 9, [1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 8.0]),
    ],
)
def test_models_meet_every_period_after_the_warm_up(period, warmup, first, second):
    def body(group):
        return walk(group, PeriodicModelAverager(period, warmup, group), 4)

    assert run_ranks(2, body) == [first, second]


def test_neighbours_meet_more_often_than_all():
    def body(group):
        _World.group = group
        return walk(group, HierarchicalModelAverager({2: 2, 4: 4}, 1, group), 5)

    # At steps 2 and 4 (from 0): the pair's mean, then everybody's.
    assert run_ranks(4, body) == [
        [1.0, 2.0, 4.5, 5.5, 12.5],
        [2.0, 4.0, 4.5, 6.5, 12.5],
        [3.0, 6.0, 10.5, 13.5, 12.5],
        [4.0, 8.0, 10.5, 14.5, 12.5],
    ]


def test_what_is_averaged():
    def body(group):
        value = group.rank + 1
        trained, half = parameter(value), parameter(value, dtype=torch.float16)
        apart = parameter(value, trained=False)
        version = trained._version
        for given in ([trained, half, apart], [{"params": [trained, half, apart]}]):
            utils.average_parameters_or_parameter_groups(given, group)
        utils.average_parameters([], group)
        utils.average_parameters([apart], torch.distributed.GroupMember.NON_GROUP_MEMBER)
        assert (trained.requires_grad, half.dtype) == (True, torch.float16)
        assert trained._version > version
        return [p.detach().numpy().ravel()[0] for p in (trained, half, apart)]

    first, second, third = run_ranks(3, body)
    np.testing.assert_allclose(first, [2, 2, 1])
    np.testing.assert_allclose([second, third], [[2, 2, 2], [2, 2, 3]])


def test_only_parameters_are_averaged():
    with pytest.raises(NotImplementedError, match="Parameter input of type <class 'int'>"):
        utils.get_params_to_average([1])


REFUSED = [
    (lambda: PeriodicModelAverager(0), "``period`` must be a positive"),
    (lambda: PeriodicModelAverager(2, -1), "``warmup_steps`` must be a non-negative"),
    (lambda: HierarchicalModelAverager({}), "must not be empty"),
    (lambda: HierarchicalModelAverager({0: 1}), "minimum period"),
    (lambda: HierarchicalModelAverager({2: 2}), r"``period_group_size_dict`` 2 must be equal .* 1"),
    (lambda: HierarchicalModelAverager({2: 1}, -1), "``warmup_steps`` must be a non-negative"),
]


def test_refusals_and_warnings():
    def body(group):
        _World.group = group
        for make, text in REFUSED:
            with pytest.raises(ValueError, match=text):
                make()
        for make in (lambda: PeriodicModelAverager(1), lambda: HierarchicalModelAverager({1: 1})):
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                make()
            assert "is 1, no need to use model averaging" in str(told[0].message)

    run_ranks(1, body)
