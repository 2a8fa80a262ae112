"""Idle threads of the libraries that compute for us go to sleep soon."""

import os
import subprocess
import sys

import pytest

from disttorch.backends.cpu import threads

# Prints the processor time used while nothing runs, from 5 to 25 ms after a threaded product.
_IDLE = """
import time
import numpy as np
import disttorch
x = np.ones((600, 600), "f")
spent = []
for _ in range(5):
    x @ x
    time.sleep(0.005)
    start = time.process_time()
    time.sleep(0.02)
    spent.append(time.process_time() - start)
print(min(spent))
"""


@pytest.mark.skipif(threads.get_num_threads() < 2, reason="products use one thread here")
def test_openblas_leaves_the_other_cores_alone_soon_after_a_product():
    output = subprocess.check_output([sys.executable, "-c", _IDLE], text=True)
    assert float(output) < 0.005  # by itself it spins for 27 ms


def test_a_library_sees_a_variable_only_while_it_is_loaded(monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    with threads.environment("GOMP_SPINCOUNT", "7"):
        assert os.environ["GOMP_SPINCOUNT"] == "7"
    assert "GOMP_SPINCOUNT" not in os.environ
    with pytest.raises(ZeroDivisionError), threads.environment("GOMP_SPINCOUNT", "7"):
        raise ZeroDivisionError
    assert "GOMP_SPINCOUNT" not in os.environ


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, (None, threads._OPENMP_WAIT[1])),
        ({"GOMP_SPINCOUNT": "5"}, (None, "5")),
        ({"OMP_WAIT_POLICY": "active"}, ("active", None)),
    ],
)
def test_what_the_user_set_stays(monkeypatch, given, seen):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        threads.ctypes,
        "CDLL",
        lambda _: [os.environ.get(n) for n in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")],
    )
    assert tuple(threads.load_openmp_library("any")) == seen
