"""The tree of errors, which users and the launcher's report lean on."""

import pytest

from disttorch.comm import errors


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (errors.DistError, RuntimeError),
        (errors.DistBackendError, errors.DistError),
        (errors.DistNetworkError, errors.DistError),
        (errors.DistStoreError, errors.DistError),
        (errors.PeerLostError, errors.DistBackendError),
        (errors.CollectiveTimeoutError, errors.DistBackendError),
        (errors.CollectiveMismatchError, errors.DistBackendError),
        (errors.GroupUnusableError, errors.DistBackendError),
        (errors.SharedMemoryError, errors.DistNetworkError),
        (errors.StoreTimeoutError, errors.DistStoreError),
        (errors.RankEnvError, ValueError),
    ],
)
def test_tree(error: type, base: type) -> None:
    assert issubclass(error, base)


def test_only_a_lost_peer_is_a_consequence() -> None:
    dist = [
        e for e in vars(errors).values() if isinstance(e, type) and hasattr(e, "is_consequence")
    ]
    assert [e.__name__ for e in dist if e.is_consequence] == ["PeerLostError"]


def test_lost_ranks_travel_with_the_error() -> None:
    assert errors.PeerLostError("gone", [3, 1]).ranks == (3, 1)
    assert errors.CollectiveTimeoutError("late").ranks == ()
