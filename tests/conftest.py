"""Around every test: fixed seeds before it, and afterwards a look at what it left behind."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import tempfile

import numpy as np
import pytest

import disttorch
from tests import leaks

# Threads and processes that have been told to end may take a moment.
PATIENCE_S = 2.0


def pytest_configure():
    """Signals mean what they do in a terminal: under nohup or `&`, programs we start were deaf."""
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGQUIT: signal.SIG_DFL}
    for signum, handler in {**defaults, signal.SIGHUP: signal.SIG_DFL}.items():
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, handler)


def pytest_collection_finish():
    """Leave the tests themselves out of collections: looking at 16,000 of them takes a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _session_mark():
    """Mark our processes, and give run directories a place of their own with a short name."""
    base = tempfile.mkdtemp(prefix="dt", dir="/tmp")
    os.environ[leaks.MARK] = str(os.getpid())
    os.environ[leaks.RUN_DIRECTORIES] = base
    files = leaks.unused_shared_files()
    yield
    shutil.rmtree(base)
    left = leaks.unused_shared_files() - files
    assert not left, f"the session left behind shared memory: {left}"


@pytest.fixture(autouse=True)
def _no_leaks(_session_mark):
    """Fail a test that leaves threads, descriptors, processes, shared memory or settings."""
    check = leaks.LeakCheck()
    yield
    left = check.wait(PATIENCE_S)
    if left:
        check.kill()
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def _seeds():
    """Each test draws the same numbers, whichever ran before it."""
    random.seed(0)
    np.random.seed(0)
    disttorch.manual_seed(0)
