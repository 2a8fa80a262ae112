"""Slices of sliding windows: against the definition, output by output and tap by tap."""

import itertools

import pytest

from disttorch.backends.window import Window

CASES = tuple(itertools.product((1, 2, 3), (1, 2, 3), (0, 1, 2), (1, 2), (1, 4, 7)))


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation", "n"), CASES)
def test_taps_pair_each_output_with_the_input_it_reads(kernel, stride, padding, dilation, n):
    window = Window((kernel,), (stride,), (padding,), (dilation,))
    (n_out,) = window.outputs((n,))
    for extra in (0, 1):  # one more is what ceil_mode adds
        count = max(0, n_out) + extra
        expected = [
            [(o, i) for o in range(count) if 0 <= (i := o * stride - padding + k * dilation) < n]
            for k in range(kernel)
        ]
        found = [
            list(zip(range(count)[outputs], range(n)[inputs], strict=True))
            for outputs, inputs in window.tap_slices(0, n, count)
        ]
        assert found == expected


def test_taps_of_several_dimensions_run_fastest_in_the_last():
    window = Window((2, 2), (1, 1), (0, 0), (1, 1))
    starts = [(i[0].start, i[1].start) for _, i in window.taps((3, 3), (2, 2))]
    assert starts == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert window.n_taps == 4


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window((1, 1), (1, 1), (0, 0), (1, 1)), True),
        (Window((1, 2), (1, 1), (0, 0), (1, 1)), False),
        (Window((1, 1), (2, 1), (0, 0), (1, 1)), False),
        (Window((1, 1), (1, 1), (0, 1), (1, 1)), False),
    ],
)
def test_pointwise(window, expected):
    assert window.is_pointwise is expected
