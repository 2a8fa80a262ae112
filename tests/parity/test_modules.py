"""Every module of PyTorch's module database agrees: a spread of its samples (module_db has all)."""

import warnings

import pytest

pytest.importorskip("torch", reason="torch not installed")
pytest.importorskip("expecttest", reason="PyTorch's test data needs expecttest")

from torch.testing._internal.common_modules import module_db

from tests.parity import module_db as harness

pytestmark = pytest.mark.parity

N_SAMPLES = 12


@pytest.mark.parametrize("info", module_db, ids=lambda info: info.name)
def test_module(info):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(harness.samples_of(info))
        for description, sample, dtype, training in samples[:: max(1, len(samples) // N_SAMPLES)]:
            try:
                harness.check(info, sample, dtype, training)
            except Exception as error:
                raise AssertionError(f"{info.name}: {description}") from error
