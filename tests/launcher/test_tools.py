import subprocess
import sys

import pytest

from disttorch.version import __version__
from disttorch_launcher import cli, tools


def test_version(capsys):
    assert tools.main(["--version"]) == 0
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"disttorch {__version__}\n" * 2


def test_doctor_says_what_it_looked_at():
    code = "import sys; from disttorch_launcher.tools import main; sys.exit(main(['doctor']))"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stdout
    for subject in ("python", "cores", "numpy", "zeromq", "shared memory", "open files", "gpu"):
        assert f"  {subject}  " in ended.stdout


def test_without_a_command_it_explains_itself(capsys):
    assert tools.main([]) == 2
    assert "doctor" in capsys.readouterr().out
