"""Short-time transforms: values and errors.

Expected results are those of PyTorch 2.13.
"""

import pytest

# Expression, dtype of the tensors in its result (None: not asked), the result as lists.
VALUES = (
    (
        "torch.stft(torch.arange(8.),4,window=torch.ones(4),return_complex=True)",
        "complex64",
        [
            [
                (4 + 0j),
                (4 + 0j),
                (6 + 0j),
                (10 + 0j),
                (14 + 0j),
                (18 + 0j),
                (22 + 0j),
                (24 + 0j),
                (24 + 0j),
            ],
            [(2 + 0j), 2j, (-2 + 2j), (-2 + 2j), (-2 + 2j), (-2 + 2j), (-2 + 2j), (-2 + 0j), -2j],
            [0j, 0j, (-2 + 0j), (-2 + 0j), (-2 + 0j), (-2 + 0j), (-2 + 0j), 0j, 0j],
        ],
    ),
    (
        (
            "torch.stft(torch.arange(6.),4,2,center=False,window=torch.hann_window(4),"
            "return_complex=True)"
        ),
        "complex64",
        [[(4 + 0j), (8 + 0j)], [(-2 + 1j), (-4 + 1j)], [0j, 0j]],
    ),
    (
        (
            "torch.view_as_real(torch.stft(torch.arange(6.),4,2,normalized=True,"
            "window=torch.ones(4),return_complex=True)).shape"
        ),
        None,
        (3, 4, 2),
    ),
    (
        (
            "torch.istft(torch.stft(torch.arange(9.),4,2,window=torch.ones(4),"
            "return_complex=True),4,2,window=torch.ones(4))"
        ),
        "float32",
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
    ),
    (
        (
            "torch.stft(torch.arange(8.),4,win_length=2,window=torch.ones(2),"
            "pad_mode='constant',onesided=False,return_complex=True).shape"
        ),
        None,
        (4, 9),
    ),
)

ERRORS = (
    (
        "torch.stft(torch.ones(20),8)",
        RuntimeError,
        (
            "stft requires the return_complex parameter be given for real inputs, and will "
            "further require that return_complex=True in a future PyTorch release."
        ),
    ),
    (
        "torch.stft(torch.ones(2,2,20),8,return_complex=True)",
        RuntimeError,
        (
            "stft(torch.FloatTensor[2, 2, 28], n_fft=8, hop_length=2, win_length=8, "
            "window=None, normalized=0, onesided=None, return_complex=1, align_to_window=None) "
            ": expected a 1D or 2D tensor"
        ),
    ),
    (
        "torch.stft(torch.ones(20),8,0,return_complex=True)",
        RuntimeError,
        (
            "stft(torch.FloatTensor[28], n_fft=8, hop_length=0, win_length=8, window=None, "
            "normalized=0, onesided=None, return_complex=1, align_to_window=None) : expected "
            "hop_length > 0, but got hop_length=0"
        ),
    ),
    (
        "torch.stft(torch.ones(20),8,win_length=9,return_complex=True)",
        RuntimeError,
        (
            "stft(torch.FloatTensor[28], n_fft=8, hop_length=2, win_length=9, window=None, "
            "normalized=0, onesided=None, return_complex=1, align_to_window=None) : expected 0 "
            "< win_length <= n_fft, but got win_length=9"
        ),
    ),
    (
        "torch.stft(torch.ones(20),8,window=torch.ones(5),return_complex=True)",
        RuntimeError,
        (
            "stft(torch.FloatTensor[28], n_fft=8, hop_length=2, win_length=8, "
            "window=torch.FloatTensor{[5]}, normalized=0, onesided=None, return_complex=1, "
            "align_to_window=None) : expected a 1D window tensor of size equal to "
            "win_length=8, but got window with size [5]"
        ),
    ),
    (
        "torch.stft(torch.ones(20),80,center=False,return_complex=True)",
        RuntimeError,
        (
            "stft(torch.FloatTensor[20], n_fft=80, hop_length=20, win_length=80, window=None, "
            "normalized=0, onesided=None, return_complex=1, align_to_window=None) : expected 0 "
            "< n_fft < 20, but got n_fft=80"
        ),
    ),
    (
        "torch.stft(torch.ones(3),8,return_complex=True)",
        RuntimeError,
        (
            "Argument #4: Padding size should be less than the corresponding input dimension, "
            "but got: padding (4, 4) at dimension 2 of input [1, 1, 3]"
        ),
    ),
    (
        "torch.stft(torch.ones(20)+0j,8,onesided=True,return_complex=True)",
        RuntimeError,
        "Cannot have onesided output if window or input is complex",
    ),
    (
        "torch.istft(torch.ones(5,4),8)",
        RuntimeError,
        (
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        ),
    ),
    (
        "torch.istft(torch.zeros(5,0)+0j,8)",
        RuntimeError,
        (
            "istft(CPUComplexFloatType[5, 0], n_fft=8, hop_length=2, win_length=8, "
            "window=None, center=1, normalized=0, onesided=None, length=None, "
            "return_complex=0) : input tensor cannot be empty."
        ),
    ),
    (
        "torch.istft(torch.ones(5,4)+0j,8,window=torch.zeros(8))",
        RuntimeError,
        (
            "istft(CPUComplexFloatType[5, 4], n_fft=8, hop_length=2, win_length=8, "
            "window=torch.FloatTensor{[8]}, center=1, normalized=0, onesided=None, "
            "length=None, return_complex=0) window overlap add min: 1\n[ CPUBoolType{} ]"
        ),
    ),
    (
        "torch.istft(torch.ones(5,4)+0j,8,hop_length=9)",
        RuntimeError,
        (
            "istft(CPUComplexFloatType[5, 4], n_fft=8, hop_length=9, win_length=8, "
            "window=None, center=1, normalized=0, onesided=None, length=None, "
            "return_complex=0) : expected 0 < hop_length <= win_length"
        ),
    ),
    (
        "torch.istft(torch.ones(5,4)+0j,8,window=torch.ones(7))",
        RuntimeError,
        (
            "istft(CPUComplexFloatType[5, 4], n_fft=8, hop_length=2, win_length=8, "
            "window=torch.FloatTensor{[7]}, center=1, normalized=0, onesided=None, "
            "length=None, return_complex=0) : Invalid window shape. window has to be 1D and "
            "length of `win_length`"
        ),
    ),
    (
        "torch.istft(torch.ones(5,4)+0j,8,onesided=True,return_complex=True)",
        RuntimeError,
        "Cannot have onesided output if window or input is complex",
    ),
)


@pytest.mark.parametrize(("expression", "dtype", "expected"), VALUES)
def test_values(check, expression, dtype, expected):
    check(expression, dtype, expected)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
