"""oneDNN's convolutions against NumPy's: groups, windows, layouts, dimensions, threads, forks."""

import os
import threading

import numpy as np
import pytest

from disttorch.backends.cpu import conv
from disttorch.backends.cpu.layout import channels_first_view, channels_last_view
from disttorch.backends.cpu.onednn import convolution, library
from disttorch.backends.window import Window

pytestmark = pytest.mark.skipif(
    library.library() is None, reason=f"oneDNN: {library.description()}"
)

# Spatial sizes; kernel, stride, padding, dilation.
GEOMETRIES = (
    ((9, 8), ((3, 3), (1, 1), (1, 1), (1, 1))),
    ((11, 7), ((3, 2), (2, 1), (0, 1), (1, 2))),
    ((12, 12), ((5, 5), (3, 3), (2, 2), (1, 1))),
    ((8, 8), ((1, 1), (1, 1), (1, 1), (1, 1))),
    ((20,), ((4,), (2,), (1,), (2,))),
    ((5, 6, 7), ((2, 3, 2), (1, 2, 1), (1, 0, 0), (1, 1, 1))),
)
CHANNELS = ((16, 32, 1), (3, 5, 1), (8, 8, 4), (8, 8, 8), (6, 12, 6))


@pytest.fixture
def used(monkeypatch):
    """Let oneDNN do small convolutions too; counts those it did."""
    monkeypatch.setattr(convolution, "_WORTHWHILE", 0)
    done = []
    run = convolution._run

    def counted(build, *args):
        result = run(build, *args)
        done.append((build.__name__, result))
        return result

    monkeypatch.setattr(convolution, "_run", counted)
    return done


def _array(shape, last):
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    return channels_first_view(np.ascontiguousarray(channels_last_view(x))) if last else x


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("n_in", "n_out", "groups"), CHANNELS)
@pytest.mark.parametrize(("sizes", "geometry"), GEOMETRIES)
def test_convolution_and_gradients(used, sizes, geometry, n_in, n_out, groups, last):
    window = Window(*geometry)
    x = _array((2, n_in, *sizes), last)
    w, b = _array((n_out, n_in // groups, *window.kernel), False), _array((n_out,), False)
    gy = _array((2, n_out, *window.outputs(sizes)), last)
    calls = {
        "conv_forward": (x, w, b, window, groups),
        "conv_backward_input": (gy, w, sizes, window, groups),
        "conv_backward_weight": (x, gy, window, groups),
    }
    for name, args in calls.items():
        found, expected = getattr(convolution, name)(*args), getattr(conv, name)(*args)
        assert found.shape == expected.shape
        assert found.flags.c_contiguous == expected.flags.c_contiguous
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert [result for _, result in used] == [True] * 3


def test_primitives_are_made_once(used):
    window = Window((3, 3), (1, 1), (1, 1), (1, 1))
    x, w = _array((1, 4, 17, 17), False), _array((4, 4, 3, 3), False)
    convolution.conv_forward(x, w, None, window)
    before = convolution._primitive.cache_info().misses
    for _ in range(3):
        convolution.conv_forward(x.copy(), w, None, window)
    assert convolution._primitive.cache_info().misses == before


def test_numpy_does_what_onednn_refuses(used, monkeypatch):
    def refuse(*_):
        raise library.OneDNNError("no such primitive")

    monkeypatch.setattr(convolution, "_primitive", refuse)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1))
    x, w = _array((1, 4, 9, 9), False), _array((4, 4, 3, 3), False)
    expected = conv.conv_forward(x, w, None, window)
    np.testing.assert_array_equal(convolution.conv_forward(x, w, None, window), expected)
    assert used == [("_forward", False)]


def test_single_elements_with_strides_are_numpys(used):
    window = Window((1, 1), (2, 2), (0, 0), (1, 1))
    x, gy = _array((2, 3, 8, 8), True), _array((2, 5, 4, 4), True)
    expected = conv.conv_backward_weight(x, gy, window)
    np.testing.assert_array_equal(convolution.conv_backward_weight(x, gy, window), expected)
    assert used == [("_backward_weight", False)]


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_other_dtypes_are_numpys(used, dtype):
    window = Window((3, 3), (1, 1), (1, 1), (1, 1))
    x, w = (_array(s, False).astype(dtype) for s in ((1, 4, 9, 9), (4, 4, 3, 3)))
    assert convolution.conv_forward(x, w, None, window).dtype == dtype
    assert used == [("_forward", False)]


def test_several_threads_share_a_primitive(used):
    window = Window((3, 3), (1, 1), (1, 1), (1, 1))
    w = _array((8, 8, 3, 3), False)
    images = [_array((1, 8, 20, 20), False) * i for i in range(4)]
    results = [None] * 4

    def work(i):
        for _ in range(20):
            results[i] = convolution.conv_forward(images[i], w, None, window)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for x, y in zip(images, results, strict=True):
        np.testing.assert_allclose(y, conv.conv_forward(x, w, None, window), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_its_parents_threads(used, monkeypatch):
    monkeypatch.setattr("disttorch.backends.cpu.threads._Setting.n", 2)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1))
    x, w = _array((2, 8, 30, 30), False), _array((8, 8, 3, 3), False)
    expected = convolution.conv_forward(x, w, None, window)
    pid = os.fork()
    if not pid:
        found = convolution.conv_forward(x, w, None, window)
        os._exit(0 if np.allclose(found, expected, 1e-4, 1e-4) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
