"""The wheel: what is in it, what it requires, and that it runs from where it is unpacked."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import disttorch

ROOT = Path(__file__).parent.parent
BASE = {"numpy", "pyzmq", "cloudpickle", "ml-dtypes", "rich"}
EXTRAS = "all cuda12 cuda13 dev fast mpi ray special tensorboard test visdom vision".split()
# A module with its place in the archive's lists, and the digits. Tests, examples and compiled files
# do not belong in it; NumPy alone is 17 MB.
MAX_BYTES_A_MODULE = 2_100
DIGITS_BYTES = 50_000
# Used by tests/ops alone.
NOT_IN_THE_WHEEL = ROOT / "disttorch" / "testing" / "opspec"

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
USE = """
import sys
sys.path.insert(0, sys.argv[1])
import disttorch, disttorch_launcher
from disttorch.vision.datasets import Digits
assert disttorch.__file__.startswith(sys.argv[1]), disttorch.__file__
assert disttorch_launcher.__file__.startswith(sys.argv[1]), disttorch_launcher.__file__
print(disttorch.__version__, len(Digits()))
"""


def run(*arguments: object, cwd: Path | None = None) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel built from a copy: a build leaves folders behind in the tree it builds."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for folder in ("disttorch", "launcher"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tree / folder, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    run("-c", BUILD, out, cwd=tree)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def names(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def dist_info(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (n for n in archive.namelist() if n.endswith(f".dist-info/{name}"))
        return archive.read(path).decode()


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    return Parser().parsestr(dist_info(wheel, "METADATA"))


def test_every_module_is_there_and_nothing_else(names):
    expected = set()
    for folder, package in (("disttorch", "disttorch"), ("launcher", "disttorch_launcher")):
        for path in (ROOT / folder).rglob("*"):
            kept = NOT_IN_THE_WHEEL not in path.parents
            if kept and path.suffix in {".py", ".pyi", ".npz", ".typed", ".md"}:
                expected.add(f"{package}/{path.relative_to(ROOT / folder).as_posix()}")
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_data_and_licences_are_there(names):
    assert "disttorch/vision/datasets/digits.npz" in names
    licences = {name.split("/licenses/")[1] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "disttorch/vision/datasets/DIGITS.md"}


def test_requirements(metadata):
    required = [r for r in metadata.get_all("Requires-Dist") if "extra ==" not in r]
    assert {re.match(r"[\w-]+", r)[0].replace("_", "-") for r in required} == BASE
    assert sorted(metadata.get_all("Provides-Extra")) == EXTRAS
    assert metadata["Requires-Python"] == ">=3.11"


def test_version_is_the_modules(metadata):
    assert metadata["Version"] == disttorch.__version__


def test_commands(wheel):
    points = configparser.ConfigParser()
    points.read_string(dist_info(wheel, "entry_points.txt"))
    assert dict(points["console_scripts"]) == {
        "disttorch-launch": "disttorch_launcher.cli:main",
        "disttorch": "disttorch_launcher.tools:main",
    }


def test_it_runs_where_it_is_unpacked(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    assert run("-I", "-c", USE, tmp_path).split() == [disttorch.__version__, "1500"]


def test_it_is_small(wheel, names):
    n_modules = sum(name.endswith(".py") for name in names)
    assert wheel.stat().st_size < MAX_BYTES_A_MODULE * n_modules + DIGITS_BYTES


def test_all_is_every_extra_a_user_can_combine():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    combined = set(re.fullmatch(r"disttorch\[(.*)\]", extras["all"][0])[1].split(","))
    assert combined == set(extras) - {"all", "dev", "test", "cuda12", "cuda13"}
