"""Written by `python -m tests.stubs`; do not edit."""

from disttorch.signal import windows as windows

