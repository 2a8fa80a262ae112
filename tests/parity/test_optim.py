"""Optimisers and schedulers against PyTorch: its own table of optimisers, then step by step."""

import pytest

pytest.importorskip("torch")

from tests.parity import optim_db

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

NAMES = [info.name for info in optim_db.infos()]


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration(name):
    (info,) = optim_db.infos(f"^{name}$")
    row = optim_db.row_of(info, every_dtype=False)
    assert row.total
    assert row.errors_total
    assert not row.failures, "\n".join(row.failures)
