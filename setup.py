"""The list of packages: pyproject.toml cannot say that launcher/ installs as disttorch_launcher."""

from setuptools import find_packages, setup

LAUNCHER = "disttorch_launcher"

# The table of operators' tests is for the repository's own suite.
library = find_packages(include=["disttorch", "disttorch.*"], exclude=["disttorch.testing.opspec"])
launcher = [
    LAUNCHER + name.removeprefix("launcher")
    for name in find_packages(include=["launcher", "launcher.*"])
]

setup(packages=library + launcher, package_dir={LAUNCHER: "launcher"})
