"""What a Tensor subclass changes for those who do not use it: nothing."""

from __future__ import annotations

import subprocess
import sys

# A process of its own: the first subclass wraps the public functions for good.
PROGRAM = """
import pickle
import disttorch as torch
from disttorch import nn
from disttorch.nn import functional as F

before = nn.TransformerEncoderLayer(4, 2, 8, activation="gelu")

class Mine(torch.Tensor):
    pass

after = nn.TransformerEncoderLayer(4, 2, 8, activation="gelu")
for layer in (before, after):
    assert pickle.loads(pickle.dumps(layer)).activation_relu_or_gelu == 2
for function in (torch.exp, torch.relu, F.relu, F.gelu, F.linear):
    assert pickle.loads(pickle.dumps(function)) is function
assert nn.TransformerEncoderLayer(4, 2, 8).activation_relu_or_gelu == 1
"""


def test_functions_are_pickled_and_recognised():
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=50, check=False
    )
    assert ended.returncode == 0, ended.stderr
