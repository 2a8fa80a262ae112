import pytest
from hypothesis import given
from hypothesis import strategies as st

from disttorch_launcher.lines import (
    MAX_LINE_NBYTES,
    PROGRESS_EVERY_S,
    LineAssembler,
    prefixed,
)

# name: (chunks, lines after each chunk, line at the end, bar shown after the last chunk)
STREAMS = {
    "whole": ([b"a\nb\n"], [b"a\nb\n"], b"", None),
    "cut in two": ([b"loss=0.", b"25\n"], [b"", b"loss=0.25\n"], b"", None),
    "no newline at the end": ([b"a\nb"], [b"a\n"], b"b\n", None),
    "empty lines": ([b"\n\n"], [b"\n\n"], b"", None),
    "not UTF-8": ([b"\xff\xfe\n"], [b"\xff\xfe\n"], b"", None),
    "bar": ([b"\r 1%", b"\r 2%"], [b"", b""], b" 2%\n", b" 2%"),
    "bar that ends its line": ([b"\r 1%", b"\r 2%\n"], [b"", b" 2%\n"], b"", None),
    "bar with the return at its end": ([b" 1%\r", b" 2%\r"], [b"", b""], b" 2%\n", b" 2%"),
    "bar that wipes itself": ([b"\r 1%", b"\r   \r"], [b"", b""], b"", b"   "),
    "text after a wiped bar": ([b"\r 1%\r   \r", b"done\n"], [b"", b"done\n"], b"", None),
    "return and newline": ([b"a\r\nb\r", b"\n"], [b"a\n", b"b\n"], b"", None),
    "bar and lines in one": ([b"\r 1%\nx\n\r 2%"], [b" 1%\nx\n"], b" 2%\n", b" 2%"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_stream(name):
    chunks, lines, last, bar = STREAMS[name]
    assembler = LineAssembler(report_progress=False)
    fed = [assembler.feed(chunk, 0.0) for chunk in chunks]
    assert [assembled.lines for assembled in fed] == lines
    assert fed[-1].progress == bar
    assert assembler.close() == last


@given(st.lists(st.binary(max_size=20)))
def test_nothing_is_lost_however_it_is_cut(chunks):
    data = b"".join(chunks).replace(b"\r", b".")
    assembler = LineAssembler(report_progress=True)
    out = b"".join(assembler.feed(chunk.replace(b"\r", b"."), 0.0).lines for chunk in chunks)
    rest = assembler.close()
    assert out == b"" or out.endswith(b"\n")
    left = data[len(out) :]
    assert out == data[: len(out)]
    assert rest == (left + b"\n" if left.strip() else b"")


def test_memory_is_bounded():
    assembler = LineAssembler(report_progress=False)
    out = b"".join(assembler.feed(b"x" * 4096, 0.0).lines for _ in range(100)) + assembler.close()
    assert out.count(b"x") == 100 * 4096
    assert max(len(line) for line in out.split(b"\n")) <= MAX_LINE_NBYTES + 4096


def test_bar_in_a_file_is_a_line_now_and_then():
    assembler = LineAssembler(report_progress=True)
    seen = [assembler.feed(b"\r%d" % second, float(second)).lines for second in range(25)]
    every = int(PROGRESS_EVERY_S)
    assert {s: line for s, line in enumerate(seen) if line} == {
        every: b"%d\n" % every,
        2 * every: b"%d\n" % (2 * every),
    }


def test_prefix_before_each_line():
    assert prefixed(b"a\n\nb\n", b"[r0] ") == b"[r0] a\n[r0] \n[r0] b\n"
    assert prefixed(b"", b"[r0] ") == b""
