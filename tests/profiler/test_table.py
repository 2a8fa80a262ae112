import pytest

from disttorch.profiler.table import memory_text, microseconds


@pytest.mark.parametrize(
    ("us", "unit", "text"),
    [
        (0.5, None, "0.500us"),
        (1500, None, "1.500ms"),
        (2e6, None, "2.000s"),
        (0, None, "0.000us"),
        (2e6, "ms", "2000.000ms"),
        (1500, "s", "0.002s"),
        (1500, "weeks", "1.500ms"),
    ],
)
def test_times(us, unit, text):
    assert microseconds(us, unit) == text


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 B"), (-2048, "-2.00 KB"), (3 << 20, "3.00 MB"), (5 << 30, "5.00 GB")],
)
def test_memory(nbytes, text):
    assert memory_text(nbytes) == text
