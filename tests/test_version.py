"""What scripts ask of `torch.version`."""

import disttorch


def test_it_answers_as_a_cpu_build_of_pytorch():
    version = disttorch.version
    assert version.__version__ == disttorch.__version__
    assert (version.cuda, version.hip, version.xpu, version.debug) == (None, None, None, False)
