"""The blocks of code in the guides on ranks run as they stand there, in a script with a model."""

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
BEFORE = """
import disttorch as torch
import disttorch.distributed as dist
from disttorch import nn
from disttorch.nn.parallel import DistributedDataParallel

dist.init_process_group()
model = DistributedDataParallel(nn.Linear(3, 2))
optimizer, epoch = torch.optim.Adam(model.parameters()), 7
torch.manual_seed(dist.get_rank())
"""
AFTER = """
model.register_comm_hook(None, hook)
model(torch.randn(4, 3)).sum().backward()
everyone = [torch.zeros(2, 3) for _ in range(2)]
dist.all_gather(everyone, model.weight.grad)
assert torch.equal(*everyone)
loaded = {"model": model.state_dict(), "epoch": 0}
dcp.load(loaded, checkpoint_id="run/7")
assert loaded["epoch"] == 7
"""


def test_blocks_of_the_guides(tmp_path):
    text = (DOCS / "data_parallel.md").read_text() + (DOCS / "distributed.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 2
    (tmp_path / "guide.py").write_text("\n".join([BEFORE, *blocks, AFTER]))
    command = [sys.executable, "-m", "disttorch_launcher", "--nproc", "2", "guide.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
