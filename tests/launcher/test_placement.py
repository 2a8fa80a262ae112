import os

from disttorch_launcher.config import Bind, LaunchConfig
from disttorch_launcher.placement import cores_for, threads_for


def test_unbound_ranks_have_no_cores_of_their_own():
    assert cores_for(LaunchConfig("t.py", n_ranks=2), 1) == []


def test_bound_ranks_share_out_what_this_process_may_use():
    config = LaunchConfig("t.py", n_ranks=2, bind=Bind.CORE)
    first, second = cores_for(config, 0), cores_for(config, 1)
    assert set(first) | set(second) == os.sched_getaffinity(0)
    assert len(first) + len(second) >= len(os.sched_getaffinity(0))


def test_threads_as_asked_for():
    assert threads_for(LaunchConfig("t.py", n_threads=3), {"OMP_NUM_THREADS": "7"}) == 3
    assert threads_for(LaunchConfig("t.py"), {"OMP_NUM_THREADS": "7"}) == 7
