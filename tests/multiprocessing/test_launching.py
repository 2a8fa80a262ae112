import os

import pytest

import disttorch
from disttorch.multiprocessing import ProcessExitedException, ProcessRaisedException

FACTOR = 3


def work(amount, scale=1):
    rank = int(os.environ["RANK"])
    import disttorch as torch
    from disttorch import distributed as dist

    dist.init_process_group()
    total = torch.tensor([float(rank + amount)])
    dist.all_reduce(total)
    print("sum", total.item())
    return total.item() * scale * FACTOR, rank


def fail(rank_that_fails):
    if int(os.environ["RANK"]) == rank_that_fails:
        raise ValueError("boom")


def test_results_of_all_ranks(capsys):
    assert disttorch.launch(work, 2, args=(1,), kwargs={"scale": 2}) == [(18.0, 0), (18.0, 1)]
    assert sorted(capsys.readouterr().out.splitlines()) == ["[r0] sum 3.0", "[r1] sum 3.0"]


def test_functions_of_no_module_travel_too():
    offset = 5
    assert disttorch.launch(lambda: int(os.environ["RANK"]) + offset, nproc=2) == [5, 6]


def test_first_failure_is_raised_with_its_traceback():
    with pytest.raises(ProcessRaisedException) as raised:
        disttorch.launch(fail, 2, args=(1,))
    assert raised.value.error_index == 1
    assert "-- Process 1 terminated with the following error:" in str(raised.value)
    assert str(raised.value).endswith("ValueError: boom\n")


def test_rank_that_leaves():
    with pytest.raises(ProcessExitedException, match="exit code 7: rank 0 ended with exit status"):
        disttorch.launch(lambda: os._exit(7))


def test_options_are_the_launchers():
    with pytest.raises(ValueError, match="unknown option --graze; did you mean --grace"):
        disttorch.launch(work, 1, options=("--graze", "1"))
