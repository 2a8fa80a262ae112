"""Headers: what ranks compare, and how calls are found again."""

from dataclasses import replace

import numpy as np
import pytest

from disttorch.comm import header
from disttorch.comm.header import Call, CallCache
from disttorch.comm.reduce_op import ReduceOp


def headed(call: Call) -> bytes:
    return bytes(header.DESCRIPTION_AT) + header.EncodedCall(call).description


@pytest.mark.parametrize(
    "call",
    [
        Call("all_reduce", "SUM", "float32", (3, 4), -1, "train.py:41"),
        Call("barrier", "", "", (), -1, "unknown"),
        Call("broadcast", "", "bfloat16", (0,), 7, "très/long.py:1"),
        Call("all_reduce", "SUM", "int8", (2**40,) * 8, 0, "a.py:2"),
    ],
)
def test_round_trip(call: Call) -> None:
    assert header.decode(headed(call).ljust(header.HEADER_BYTES, b"\0")) == call


def test_shapes_of_many_dimensions_and_paths_of_any_bytes_fit() -> None:
    call = Call("new_group", "", "", tuple(range(300)), -1, "\udcff.py:1")
    decoded = header.decode(headed(call))
    assert (decoded.shape, decoded.site) == (tuple(range(8)), "\\udcff.py:1")


def test_long_paths_keep_their_end_and_fit() -> None:
    encoded = headed(Call("barrier", "", "", (), -1, "d/" * 400 + "train.py:41"))
    assert len(encoded) <= header.HEADER_BYTES
    assert header.decode(encoded).site.startswith("...")
    assert header.decode(encoded).site.endswith("train.py:41")


BASE = Call("all_reduce", "SUM", "float32", (3,), 0, "a.py:1")


@pytest.mark.parametrize(
    ("other", "agrees"),
    [
        (Call("all_reduce", "SUM", "float32", (3,), 0, "b.py:2"), True),
        (Call("reduce", "SUM", "float32", (3,), 0, "a.py:1"), False),
        (Call("all_reduce", "MAX", "float32", (3,), 0, "a.py:1"), False),
        (Call("all_reduce", "SUM", "float64", (3,), 0, "a.py:1"), False),
        (Call("all_reduce", "SUM", "float32", (3, 1), 0, "a.py:1"), False),
        (Call("all_reduce", "SUM", "float32", (3,), 1, "a.py:1"), False),
    ],
)
def test_the_call_site_alone_may_differ(other: Call, agrees: bool) -> None:
    assert (BASE.signature == other.signature) == agrees


def test_calls_of_one_line_and_kind_are_found_again() -> None:
    cache = CallCache()

    def ask(dtype: str, op: ReduceOp = ReduceOp.SUM) -> header.EncodedCall:
        return cache.find("all_reduce", op, np.dtype(dtype), (3,))

    first = ask("f4")
    assert ask("f4") is first
    assert ask("f8") is not first
    assert ask("f4", ReduceOp.MAX) is not first
    assert cache.find("all_reduce", ReduceOp.SUM, np.dtype("f4"), (3,)) is not first
    assert first.call.site.startswith("tests/comm/test_header.py:")
    assert (first.call.dtype, first.call.reduction) == ("float32", "SUM")


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "_MAX_CACHED", 10)
    cache = CallCache()
    for i in range(25):
        cache.find("all_reduce", shape=(i,))
    assert len(cache._calls) <= 10


def test_the_table_shows_only_columns_that_say_something() -> None:
    text = header.table([0, 5], [BASE, Call("barrier", "", "", (), -1, "b.py:9")], 12)
    lines = text.splitlines()
    assert lines[0] == "ranks disagree in collective #12:"
    assert lines[1].split() == [
        "rank",
        "operation",
        "reduce",
        "dtype",
        "shape",
        "root",
        "called",
        "at",
    ]
    assert lines[3].split() == ["5", "barrier", "-", "-", "-", "-", "b.py:9"]
    two = header.table([0, 1], [Call("barrier", "", "", (), -1, "b.py:9")] * 2, 1).splitlines()
    assert two[1].split() == ["rank", "operation", "called", "at"]


HINTS = {
    "the same collectives in the same order": {"operation": "barrier"},
    "at different lines": {"shape": (9,), "site": "b.py:9"},
    "The dtype differs: convert": {"dtype": "int8"},
    "The shape differs: give": {"shape": (9,)},
    "The root differs: pass": {"root": 3},
    "The reduction differs: pass": {"reduction": "MAX"},
}


@pytest.mark.parametrize("hint", HINTS)
def test_the_table_says_what_to_do(hint: str) -> None:
    last = header.table([0, 1], [BASE, replace(BASE, **HINTS[hint])], 1).splitlines()[-1]
    assert hint in last
