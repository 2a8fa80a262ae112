"""The decorator of scripts for torchrun."""

import pytest

from disttorch import distributed
from disttorch.distributed.elastic.multiprocessing.errors import record


def test_a_recorded_function_is_itself():
    def main():
        raise ValueError("bad sample")

    assert record(main) is main
    with pytest.raises(ValueError, match="bad sample"):
        record(main)()
    assert distributed.elastic.multiprocessing.errors.record is record
